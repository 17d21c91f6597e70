//! Splits an expression into tokens, each with its column (from 1, in characters).

/// What a token is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A number without point and exponent.
    Int(i128),
    /// Any other number.
    Float(f64),
    /// A name.
    Name(String),
    /// An operator, a parenthesis or a comma.
    Sign(&'static str),
    /// Behind the last character.
    End,
}

/// All signs; longer ones first, so that `**` is not read as `*` twice.
const SIGNS: [&str; 20] = [
    "**", "//", "<=", ">=", "==", "!=", "+", "-", "*", "/", "%", "<", ">", "&", "|", "^", "~", "(",
    ")", ",",
];

/// The tokens of a text, ending in `End`.
///
/// # Errors
/// What stands where in words.
pub(super) fn tokens(text: &str) -> Result<Vec<(Token, usize)>, String> {
    let mut found = Vec::new();
    let mut rest = text;
    let mut column = 1;
    while let Some(first) = rest.chars().next() {
        let length = if first.is_whitespace() {
            first.len_utf8()
        } else {
            let (token, length) = token(rest, first, column)?;
            found.push((token, column));
            length
        };
        column += rest[..length].chars().count();
        rest = &rest[length..];
    }
    found.push((Token::End, column));
    Ok(found)
}

/// The token at the start of `rest` and its length in bytes.
fn token(rest: &str, first: char, column: usize) -> Result<(Token, usize), String> {
    let second_is_digit = rest[first.len_utf8()..].starts_with(|c: char| c.is_ascii_digit());
    if first.is_ascii_digit() || (first == '.' && second_is_digit) {
        return number(rest, column);
    }
    if first.is_ascii_alphabetic() || first == '_' {
        let length = run(rest, |c| c.is_ascii_alphanumeric() || c == '_');
        return Ok((Token::Name(rest[..length].to_owned()), length));
    }
    if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
        return Ok((Token::Sign(sign), sign.len()));
    }
    Err(format!("unexpected character '{}' at column {column}", first.escape_default()))
}

fn number(rest: &str, column: usize) -> Result<(Token, usize), String> {
    let mut length = run(rest, |c| c.is_ascii_digit());
    let digits = &rest[..length];
    let mut float = false;
    if rest[length..].starts_with('.') {
        float = true;
        length += 1 + run(&rest[length + 1..], |c| c.is_ascii_digit());
    }
    if rest[length..].starts_with(['e', 'E']) {
        let behind = &rest[length + 1..];
        let sign = usize::from(behind.starts_with(['+', '-']));
        let exponent = run(&behind[sign..], |c| c.is_ascii_digit());
        if exponent > 0 {
            float = true;
            length += 1 + sign + exponent;
        }
    }
    let bad = |what: &str| Err(format!("{what} at column {column}"));
    if rest[length..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.') {
        return bad("malformed number");
    }
    if float {
        // The shape was checked above, so this parses; a huge exponent gives inf as in Python.
        return match rest[..length].parse() {
            Ok(value) => Ok((Token::Float(value), length)),
            Err(_) => bad("malformed number"),
        };
    }
    if digits.len() > 1 && digits.starts_with('0') && digits.contains(|c| c != '0') {
        return bad("leading zeros");
    }
    match digits.parse() {
        Ok(value) => Ok((Token::Int(value), length)),
        Err(_) => bad("integer too large"),
    }
}

/// Length in bytes of the longest start of `text` whose characters all satisfy `belongs`.
fn run(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_columns() {
        let found = tokens("a1 ** .5e-3<= 07e1").unwrap();
        let expected = [
            (Token::Name("a1".to_owned()), 1),
            (Token::Sign("**"), 4),
            (Token::Float(0.0005), 7),
            (Token::Sign("<="), 12),
            (Token::Float(70.0), 15),
            (Token::End, 19),
        ];
        assert_eq!(found, expected);
        assert_eq!(tokens("a $ b").unwrap_err(), "unexpected character '$' at column 3");
        assert_eq!(tokens("é").unwrap_err(), "unexpected character '\\u{e9}' at column 1");
        assert_eq!(tokens("1 + 2x").unwrap_err(), "malformed number at column 5");
        assert_eq!(tokens("1..2").unwrap_err(), "malformed number at column 1");
        assert_eq!(tokens("012").unwrap_err(), "leading zeros at column 1");
        assert!(tokens(&"9".repeat(60)).unwrap_err().contains("too large"));
    }
}
