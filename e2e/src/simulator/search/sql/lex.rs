//! From text to tokens.

use super::answer::SqlError;

/// A token, and where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) at: usize,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name or a keyword, as it was written.
    Word(String),
    /// A name in quotation marks.
    Quoted(String),
    /// A text in apostrophes.
    Text(String),
    Number(i64),
    /// Punctuation or an operator.
    Symbol(&'static str),
}

/// The longer ones first.
const SYMBOLS: [&str; 14] = ["<>", "!=", "<=", ">=", "=", "<", ">", "(", ")", ",", "*", ".", ";", "-"];

pub(super) fn tokens(text: &str) -> Result<Vec<Token>, SqlError> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut next = 0;
    while let Some(&first) = chars.get(next) {
        let (start, at) = (next, next + 1);
        if first.is_whitespace() {
            next += 1;
            continue;
        }
        let kind = if first == '"' || first == '\'' {
            let content = delimited(&chars, &mut next)?;
            if first == '"' {
                Kind::Quoted(content)
            } else {
                Kind::Text(content)
            }
        } else if is_word(first) {
            next += chars[start..].iter().take_while(|c| is_word(**c)).count();
            let word: String = chars[start..next].iter().collect();
            match word.parse() {
                Ok(number) => Kind::Number(number),
                Err(_) if first.is_ascii_digit() => return Err(SqlError::Digit(at)),
                Err(_) => Kind::Word(word),
            }
        } else {
            let fits = |symbol: &&&str| symbol.chars().eq(chars[start..].iter().take(symbol.len()).copied());
            let symbol = SYMBOLS.iter().find(fits).ok_or_else(|| SqlError::Syntax {
                at,
                message: format!("unexpected character {first}"),
            })?;
            next += symbol.len();
            Kind::Symbol(symbol)
        };
        tokens.push(Token { at, kind });
    }
    Ok(tokens)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// What is between two delimiters; a doubled one stands for itself.
fn delimited(chars: &[char], next: &mut usize) -> Result<String, SqlError> {
    let (start, delimiter) = (*next, chars[*next]);
    let mut content = String::new();
    *next += 1;
    while let Some(&c) = chars.get(*next) {
        *next += 1;
        if c != delimiter {
            content.push(c);
        } else if chars.get(*next) == Some(&delimiter) {
            content.push(c);
            *next += 1;
        } else {
            return Ok(content);
        }
    }
    Err(SqlError::Syntax {
        at: start + 1,
        message: format!("{delimiter} is not closed"),
    })
}
