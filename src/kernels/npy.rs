//! The `.npy` format, versions 1 to 3: reading and writing of headers.
//!
//! The header is a Python dict literal of three keys. Nothing is believed about its order or
//! blanks, and no length in it is trusted before it is checked.

use rdask_store::DType;

/// First bytes of every file.
pub(crate) const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// Bytes that say how long the header is: magic, version and the longer length field.
pub(crate) const PREFIX_BYTES: usize = 12;

/// Longest header that is read, bytes. numpy itself refuses above 10,000 unless told otherwise.
pub(crate) const MAX_HEADER_BYTES: usize = 1 << 20;

/// What a header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NpyHeader {
    /// Element type.
    pub(crate) dtype: DType,
    /// The elements' bytes are in big-endian order.
    pub(crate) big_endian: bool,
    /// The first axis varies fastest.
    pub(crate) fortran_order: bool,
    /// Length of each axis.
    pub(crate) shape: Vec<u64>,
}

/// Why a header cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NpyError {
    /// Not this format, or damaged.
    #[error("{0}")]
    Malformed(String),
    /// A dtype that native kernels do not know.
    #[error(
        "dtype {0} is not supported by native kernels, which know bool, i1 to i8, u1 to u8, f2 to \
         f8, c8, c16, M8[unit] and m8[unit] with one of numpy's units and no multiple of it, in \
         either byte order; a Python task can load it"
    )]
    Unsupported(String),
}

fn malformed(what: impl Into<String>) -> NpyError {
    NpyError::Malformed(what.into())
}

/// Where the header text stands in a file that begins with `prefix`: offset and length, bytes.
///
/// # Errors
/// Another magic or version, a header that is too long.
pub(crate) fn locate(prefix: &[u8]) -> Result<(usize, usize), NpyError> {
    let field = |from: usize, to: usize| {
        prefix.get(from..to).ok_or_else(|| malformed("the file ends inside its header"))
    };
    if field(0, 6)? != MAGIC {
        return Err(malformed("the file does not begin as a .npy file does"));
    }
    let (offset, length) = match field(6, 8)?[0] {
        1 => (10, usize::from(u16::from_le_bytes([field(8, 9)?[0], field(9, 10)?[0]]))),
        2 | 3 => {
            let mut length = [0; 4];
            length.copy_from_slice(field(8, 12)?);
            (12, u32::from_le_bytes(length) as usize)
        }
        version => return Err(malformed(format!("version {version} is not known"))),
    };
    if length > MAX_HEADER_BYTES {
        return Err(malformed(format!("a header of {length} bytes is too long")));
    }
    Ok((offset, length))
}

/// Parses the header text.
///
/// # Errors
/// A text that is no such dict, a dtype that is not supported.
pub(crate) fn parse(text: &[u8]) -> Result<NpyHeader, NpyError> {
    let text = std::str::from_utf8(text).map_err(|_| malformed("the header is not text"))?;
    let mut cursor = Cursor { text, at: 0 };
    let (mut descr, mut fortran_order, mut shape) = (None, None, None);
    cursor.expect('{')?;
    while !cursor.accept('}') {
        let key = cursor.string()?;
        cursor.expect(':')?;
        match key {
            "descr" => descr = Some(cursor.descr()?),
            "fortran_order" => fortran_order = Some(cursor.boolean()?),
            "shape" => shape = Some(cursor.shape()?),
            other => return Err(malformed(format!("unknown key '{other}' in the header"))),
        }
        if !cursor.accept(',') {
            cursor.expect('}')?;
            break;
        }
    }
    let missing = |key: &str| malformed(format!("the header lacks '{key}'"));
    let (dtype, big_endian) = dtype_of(descr.ok_or_else(|| missing("descr"))?)?;
    Ok(NpyHeader {
        dtype,
        big_endian,
        fortran_order: fortran_order.ok_or_else(|| missing("fortran_order"))?,
        shape: shape.ok_or_else(|| missing("shape"))?,
    })
}

/// The bytes before the elements of a C-ordered little-endian array, a multiple of 64 long.
pub(crate) fn header_bytes(dtype: DType, shape: &[u64]) -> Vec<u8> {
    let lengths: Vec<String> = shape.iter().map(ToString::to_string).collect();
    let comma = if shape.len() == 1 { "," } else { "" };
    let text = format!(
        "{{'descr': '{}', 'fortran_order': False, 'shape': ({}{comma}), }}",
        dtype.descr(),
        lengths.join(", ")
    );
    // 64 axes of 20 digits are 1,408 bytes, far below the 65,535 of version 1.
    let total = (10 + text.len() + 1).next_multiple_of(64);
    let mut bytes = Vec::with_capacity(total);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&[1, 0]);
    bytes.extend_from_slice(&((total - 10) as u16).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
    bytes.resize(total - 1, b' ');
    bytes.push(b'\n');
    bytes
}

fn dtype_of(descr: &str) -> Result<(DType, bool), NpyError> {
    let unsupported = || NpyError::Unsupported(descr.to_owned());
    let literal = descr.strip_prefix(['\'', '"']).and_then(|text| text.strip_suffix(['\'', '"']));
    let literal = literal.ok_or_else(unsupported)?;
    let (order, kind) = match literal.as_bytes().first() {
        Some(b'<' | b'|' | b'=') => (false, &literal[1..]),
        Some(b'>') => (true, &literal[1..]),
        _ => (false, literal),
    };
    let known = DType::all().find(|dtype| &dtype.descr()[1..] == kind);
    let dtype = if kind == "?" { Some(DType::Bool) } else { known };
    let dtype = dtype.ok_or_else(unsupported)?;
    Ok((dtype, order && dtype.size() > 1))
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&mut self) -> &'a str {
        let trimmed = self.text[self.at..].trim_start();
        self.at = self.text.len() - trimmed.len();
        trimmed
    }

    fn accept(&mut self, letter: char) -> bool {
        let found = self.rest().starts_with(letter);
        if found {
            self.at += letter.len_utf8();
        }
        found
    }

    fn expect(&mut self, letter: char) -> Result<(), NpyError> {
        if self.accept(letter) {
            return Ok(());
        }
        Err(malformed(format!("the header lacks '{letter}' at byte {}", self.at)))
    }

    fn string(&mut self) -> Result<&'a str, NpyError> {
        let quoted = self.quoted()?;
        Ok(&quoted[1..quoted.len() - 1])
    }

    /// A string with its quotes.
    fn quoted(&mut self) -> Result<&'a str, NpyError> {
        let rest = self.rest();
        let quote = rest.chars().next().filter(|letter| matches!(letter, '\'' | '"'));
        let end = quote.and_then(|quote| rest[1..].find(quote));
        let Some(end) = end else {
            return Err(malformed(format!("the header lacks a string at byte {}", self.at)));
        };
        self.at += end + 2;
        Ok(&rest[..end + 2])
    }

    /// A string with its quotes, or the list that describes a structured dtype.
    fn descr(&mut self) -> Result<&'a str, NpyError> {
        let rest = self.rest();
        if !rest.starts_with('[') {
            return self.quoted();
        }
        let mut depth = 0_usize;
        for (position, letter) in rest.char_indices() {
            match letter {
                '[' | '(' => depth += 1,
                ']' | ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                self.at += position + 1;
                return Ok(&rest[..=position]);
            }
        }
        Err(malformed("the header's descr does not end"))
    }

    fn boolean(&mut self) -> Result<bool, NpyError> {
        let rest = self.rest();
        for (word, value) in [("True", true), ("False", false)] {
            if rest.starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(malformed("the header's fortran_order is neither True nor False"))
    }

    fn shape(&mut self) -> Result<Vec<u64>, NpyError> {
        self.expect('(')?;
        let mut shape = Vec::new();
        while !self.accept(')') {
            let rest = self.rest();
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let length = rest[..digits].parse();
            shape.push(length.map_err(|_| malformed("the header's shape is no tuple of lengths"))?);
            self.at += digits;
            // Python 2 wrote long integers with an L.
            self.accept('L');
            if !self.accept(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_header_is_read_again() {
        for shape in [vec![], vec![7], vec![0, 3], vec![u64::MAX; 64]] {
            for dtype in DType::all() {
                let bytes = header_bytes(dtype, &shape);
                assert_eq!(bytes.len() % 64, 0);
                let (offset, length) = locate(&bytes).unwrap();
                assert_eq!(offset + length, bytes.len());
                let header = parse(&bytes[offset..]).unwrap();
                let shape = shape.clone();
                let expected = NpyHeader { dtype, big_endian: false, fortran_order: false, shape };
                assert_eq!(header, expected);
            }
        }
    }

    #[test]
    fn foreign_headers() {
        let text = br#"{"shape":(3L,2) , 'fortran_order' :True,"descr":'>c8'}   "#;
        let header = parse(text).unwrap();
        assert_eq!((header.dtype, header.big_endian), (DType::C64, true));
        assert_eq!((header.fortran_order, header.shape), (true, vec![3, 2]));
        let text =
            b"{'descr': [('a', '<f8', (2,)), ('b', '|O')], 'fortran_order': False, 'shape': ()}";
        assert!(matches!(parse(text), Err(NpyError::Unsupported(name)) if name.starts_with('[')));
        let text = b"{'descr': '>M8[ns]', 'fortran_order': False, 'shape': (1,)}";
        let header = parse(text).unwrap();
        assert_eq!((header.dtype.name(), header.big_endian), ("M8[ns]", true));
        for descr in ["'<M8[25s]'", "'<m8'", "'<f16'", "'<U5'"] {
            let text = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': (1,)}}");
            assert_eq!(parse(text.as_bytes()), Err(NpyError::Unsupported(descr.to_owned())));
        }
    }

    #[test]
    fn damaged_headers_are_errors() {
        let whole = "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }";
        for end in 0..whole.len() - 3 {
            assert!(parse(&whole.as_bytes()[..end]).is_err(), "{end}");
        }
        let long = b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999999,)}";
        assert!(parse(long).is_err());
        assert!(locate(b"\x93NUMPY\x09\x00\x10\x00\x00\x00").is_err());
        assert!(locate(b"\x93NUM").is_err());
        assert!(locate(b"\x93NUMPY\x02\x00\xff\xff\xff\xff").is_err());
    }
}
