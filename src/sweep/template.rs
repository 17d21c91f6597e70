//! A command with placeholders: `{name}` stands for a parameter's value, `{{` and `}}` for braces.

use crate::user_error::UserError;
use rdask_core::nearest::nearest;

/// A command whose placeholders all have a parameter.
#[derive(Clone, Debug)]
pub struct Template {
    words: Vec<String>,
    parts: Vec<Vec<Part>>,
}

/// A piece of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// The value of the parameter with this number.
    Value(usize),
}

impl Template {
    /// Reads the words of a command.
    ///
    /// # Errors
    /// No words, a placeholder without a parameter, a brace that is not closed.
    pub fn parse(words: &[String], names: &[String]) -> Result<Self, UserError> {
        if words.is_empty() {
            return Err(UserError::new("a sweep needs a command behind --", "")
                .help("for example rdask-hpc sweep --param seed=1..100 -- ./model --seed {seed}"));
        }
        let parts = words.iter().map(|word| parts(word, names)).collect::<Result<_, _>>()?;
        Ok(Self { words: words.to_vec(), parts })
    }

    /// The words as they were given.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// The words with a value for each parameter.
    #[must_use]
    pub fn fill(&self, values: &[String]) -> Vec<String> {
        let text = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Value(at) => values.get(*at).cloned().unwrap_or_default(),
        };
        self.parts.iter().map(|parts| parts.iter().map(text).collect()).collect()
    }
}

fn parts(word: &str, names: &[String]) -> Result<Vec<Part>, UserError> {
    let wrong = |what: String| UserError::new(what, format!("command word '{word}'"));
    let literal = "write {{ and }} for braces that are meant as such";
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut rest = word;
    while let Some(at) = rest.find(['{', '}']) {
        text.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            text.push_str(brace);
            rest = after;
            continue;
        }
        let end = rest.find('}').filter(|_| brace == "{");
        let end = end.ok_or_else(|| wrong(format!("a '{brace}' has no partner")).help(literal))?;
        let name = &rest[..end];
        let Some(number) = names.iter().position(|one| one == name) else {
            let error = wrong(format!("there is no parameter '{name}' for {{{name}}}"));
            return Err(match nearest(name, names.iter().map(String::as_str)) {
                Some(near) => error.help(format!("did you mean {{{near}}}?")),
                None => error.help(format!("give --param {name}=VALUES; {literal}")),
            });
        };
        if !text.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut text)));
        }
        parts.push(Part::Value(number));
        rest = &rest[end + 1..];
    }
    text.push_str(rest);
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(words: &[&str]) -> Result<Vec<String>, UserError> {
        let owned = |words: &[&str]| words.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let template = Template::parse(&owned(words), &owned(&["case", "n"]))?;
        Ok(template.fill(&owned(&["a b", "7"])))
    }

    #[test]
    fn placeholders_and_braces() {
        let words = ["./m", "--case={case}", "{n}{n}", "awk {{print $1}}", "{{{n}}}", ""];
        let expected = ["./m", "--case=a b", "77", "awk {print $1}", "{7}", ""];
        assert_eq!(filled(&words).unwrap(), expected);
    }

    #[test]
    fn mistakes_are_named() {
        let error = filled(&["{cas}"]).unwrap_err();
        assert_eq!(error.what, "there is no parameter 'cas' for {cas}");
        assert_eq!(error.help.unwrap(), "did you mean {case}?");
        assert_eq!(filled(&["{print}"]).unwrap_err().place, "command word '{print}'");
        assert_eq!(filled(&["a{n"]).unwrap_err().what, "a '{' has no partner");
        assert_eq!(filled(&["n}a"]).unwrap_err().what, "a '}' has no partner");
        assert_eq!(filled(&[]).unwrap_err().what, "a sweep needs a command behind --");
    }
}
