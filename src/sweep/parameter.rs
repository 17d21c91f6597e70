//! A parameter and its values, as the command line gives them: `NAME=VALUES`.
//!
//! VALUES is a list `a,b,c` whose items may be ranges of whole numbers `1..100` or `0..100..10`,
//! both ends included, or `@FILE` with one value a line. Leading zeros of a range's first number
//! keep the width: `01..10`.

use super::MAX_RUNS;
use crate::user_error::UserError;
use std::path::Path;

/// A name and its values; never without values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Stands in braces in the command.
    pub name: String,
    /// In the order of the list.
    pub values: Vec<String>,
}

impl Parameter {
    /// Reads `NAME=VALUES`; files are relative to `folder`.
    ///
    /// # Errors
    /// What is wrong with it, with the parameter's name.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, UserError> {
        let place = || "option --param".to_owned();
        let Some((name, values)) = text.split_once('=') else {
            return Err(UserError::new(format!("'{text}' is not NAME=VALUES"), place())
                .help("for example --param seed=1..100 or --param case=@cases.txt"));
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(plain) {
            let what = format!("'{name}' cannot be the name of a parameter");
            return Err(UserError::new(what, place()).help("use letters, digits and _"));
        }
        let values = match values.strip_prefix('@') {
            Some(file) => read_lines(&folder.join(file))?,
            None => {
                let mut all = Vec::new();
                for item in values.split(',') {
                    expand(item, &mut all).map_err(|problem| {
                        UserError::new(problem, format!("parameter '{name}'"))
                    })?;
                }
                all
            }
        };
        if values.is_empty() {
            let what = format!("the parameter '{name}' has no values");
            return Err(UserError::new(what, place()));
        }
        Ok(Self { name: name.to_owned(), values })
    }
}

/// The lines of a file that are not empty.
fn read_lines(path: &Path) -> Result<Vec<String>, UserError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        UserError::new(format!("the values cannot be read: {error}"), path.display().to_string())
    })?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// One item of a list: a range, or itself.
fn expand(item: &str, values: &mut Vec<String>) -> Result<(), String> {
    if item.is_empty() {
        return Err("a value is empty".to_owned());
    }
    let Some((first, rest)) = item.split_once("..") else {
        values.push(item.to_owned());
        return Ok(());
    };
    let (last, step) = rest.split_once("..").unwrap_or((rest, "1"));
    let numbers = [first, last, step].map(|text| text.parse::<i64>().ok());
    let [Some(from), Some(to), Some(by)] = numbers else {
        return Err(format!(
            "'{item}' is not a range of whole numbers, FIRST..LAST or FIRST..LAST..STEP"
        ));
    };
    let by = usize::try_from(by).ok().filter(|by| *by > 0);
    let by = by.ok_or_else(|| format!("the step of '{item}' is not 1 or more"))?;
    if from > to {
        return Err(format!("the range '{item}' is empty: it begins above its end"));
    }
    let width = if first.starts_with('0') { first.len() } else { 0 };
    for number in (from..=to).step_by(by) {
        if values.len() >= MAX_RUNS {
            return Err(format!("the range '{item}' has too many values"));
        }
        values.push(format!("{number:0width$}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<String> {
        Parameter::parse(text, "/".as_ref()).unwrap().values
    }

    fn what(text: &str) -> String {
        Parameter::parse(text, "/".as_ref()).unwrap_err().what
    }

    #[test]
    fn lists_ranges_and_files() {
        assert_eq!(values("a=x,y z,1.5"), ["x", "y z", "1.5"]);
        assert_eq!(values("a=1..3,7,-1..0"), ["1", "2", "3", "7", "-1", "0"]);
        assert_eq!(values("a=08..11"), ["08", "09", "10", "11"]);
        assert_eq!(values("a=0..10..5"), ["0", "5", "10"]);
        assert_eq!(values("a=b=c"), ["b=c"]);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("cases"), "one\n\n two, three \r\n").unwrap();
        let parameter = Parameter::parse("case=@cases", folder.path()).unwrap();
        assert_eq!(parameter.values, ["one", "two, three"]);
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(what("a"), "'a' is not NAME=VALUES");
        assert_eq!(what("a b=1"), "'a b' cannot be the name of a parameter");
        assert_eq!(what("a=1,,2"), "a value is empty");
        assert_eq!(what("a=3..1"), "the range '3..1' is empty: it begins above its end");
        assert!(what("a=x..y").starts_with("'x..y' is not a range of whole numbers"));
        assert_eq!(what("a=1..9..0"), "the step of '1..9..0' is not 1 or more");
        assert!(what("a=0..9223372036854775807").ends_with("has too many values"));
        assert!(what("a=@nowhere").starts_with("the values cannot be read"));
    }
}
