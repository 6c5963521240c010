//! From text to a query. Precedence: `not` before `and` (also implied between terms) before `or`.

use super::query::{Pattern, Query, QueryError};
use super::words::cut;

/// A query may have so many conditions. [source: SLS, "search syntax"]
const MAX_CONDITIONS: usize = 30;
/// A word with a wildcard may be so long. [source: the same]
const MAX_FUZZY: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    Colon,
    Quoted(String),
    Phrase(String),
    Word(String),
}

pub(super) fn parse(text: &str) -> Result<Query, QueryError> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        at: 0,
        conditions: 0,
    };
    if parser.tokens.is_empty() {
        return Ok(Query::All);
    }
    let query = parser.any()?;
    match parser.peek() {
        None => Ok(query),
        Some(_) => Err(syntax("unexpected ) in the query")),
    }
}

fn syntax(message: &str) -> QueryError {
    QueryError::Syntax(message.to_owned())
}

fn tokens(text: &str) -> Result<Vec<Token>, QueryError> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(first) = chars.next() {
        match first {
            c if c.is_whitespace() => {}
            '(' => tokens.push(Token::Open),
            ')' => tokens.push(Token::Close),
            ':' => tokens.push(Token::Colon),
            '|' => return Err(syntax("unexpected | in the search part of the query")),
            '"' => tokens.push(Token::Quoted(quoted(&mut chars)?)),
            '#' if chars.peek() == Some(&'"') => {
                chars.next();
                tokens.push(Token::Phrase(quoted(&mut chars)?));
            }
            _ => {
                let mut word = first.to_string();
                while let Some(c) = chars.next_if(|c| !c.is_whitespace() && !"():\"|".contains(*c)) {
                    word.push(c);
                }
                tokens.push(Token::Word(word));
            }
        }
    }
    Ok(tokens)
}

fn quoted(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<String, QueryError> {
    let mut text = String::new();
    loop {
        match chars.next() {
            Some('"') => return Ok(text),
            Some('\\') => text.extend(chars.next()),
            Some(c) => text.push(c),
            None => return Err(syntax("a quotation mark is not closed")),
        }
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    conditions: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    /// Steps over the word if it comes next.
    fn keyword(&mut self, keyword: &str) -> bool {
        let is_next = matches!(self.peek(), Some(Token::Word(word)) if word.eq_ignore_ascii_case(keyword))
            // A field may be called like this.
            && self.tokens.get(self.at + 1) != Some(&Token::Colon);
        self.at += usize::from(is_next);
        is_next
    }

    fn any(&mut self) -> Result<Query, QueryError> {
        let mut all = vec![self.every()?];
        while self.keyword("or") {
            all.push(self.every()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Query::Or(all) })
    }

    fn every(&mut self) -> Result<Query, QueryError> {
        let mut all = vec![self.negated()?];
        loop {
            let ends = match self.peek() {
                None | Some(Token::Close) => true,
                Some(Token::Word(word)) => word.eq_ignore_ascii_case("or"),
                Some(_) => false,
            };
            if !self.keyword("and") && ends {
                return Ok(if all.len() == 1 { all.remove(0) } else { Query::And(all) });
            }
            all.push(self.negated()?);
        }
    }

    fn negated(&mut self) -> Result<Query, QueryError> {
        if self.keyword("not") {
            return Ok(Query::Not(Box::new(self.negated()?)));
        }
        if self.peek() == Some(&Token::Open) {
            self.at += 1;
            let inner = self.any()?;
            if self.peek() != Some(&Token::Close) {
                return Err(syntax("a parenthesis is not closed"));
            }
            self.at += 1;
            return Ok(inner);
        }
        self.condition()
    }

    fn condition(&mut self) -> Result<Query, QueryError> {
        self.conditions += 1;
        if self.conditions > MAX_CONDITIONS {
            return Err(syntax("the query has more than 30 conditions"));
        }
        let first = self.value()?;
        if self.peek() != Some(&Token::Colon) {
            return match pattern(&first)? {
                Pattern::Anything => Ok(Query::All),
                pattern => Ok(Query::Term { field: None, pattern }),
            };
        }
        self.at += 1;
        let (Token::Word(field) | Token::Quoted(field) | Token::Phrase(field)) = first else {
            return Err(syntax("a field name is expected before :"));
        };
        let value = self.value()?;
        if self.peek() == Some(&Token::Colon) {
            // `a: b:c` reads as if b were a field.
            let (Token::Word(name) | Token::Quoted(name) | Token::Phrase(name)) = value else {
                return Err(syntax("a field name is expected before :"));
            };
            return Err(QueryError::NotIndexed(name));
        }
        Ok(Query::Term {
            field: Some(field),
            pattern: pattern(&value)?,
        })
    }

    fn value(&mut self) -> Result<Token, QueryError> {
        match self.peek().cloned() {
            Some(Token::Word(word)) if ["and", "or"].contains(&word.to_lowercase().as_str()) => {
                Err(syntax(&format!("unexpected {word} in the query")))
            }
            Some(value @ (Token::Word(_) | Token::Quoted(_) | Token::Phrase(_))) => {
                self.at += 1;
                Ok(value)
            }
            other => Err(syntax(&format!("a word is expected, not {other:?}"))),
        }
    }
}

fn pattern(value: &Token) -> Result<Pattern, QueryError> {
    match value {
        Token::Phrase(text) => Ok(Pattern::Phrase(text.to_lowercase())),
        Token::Word(word) if word == "*" => Ok(Pattern::Anything),
        Token::Word(word) if word.contains(['*', '?']) => {
            if word.starts_with(['*', '?']) {
                Err(syntax("a word cannot begin with * or ?"))
            } else if word.chars().count() > MAX_FUZZY {
                Err(syntax("a word with * or ? cannot be longer than 64 characters"))
            } else {
                Ok(Pattern::Wildcard(word.to_lowercase()))
            }
        }
        Token::Word(text) | Token::Quoted(text) => match cut(text).collect::<Vec<_>>() {
            words if words.is_empty() => Err(syntax("a condition without a word")),
            words => Ok(Pattern::Words(words)),
        },
        Token::Open | Token::Close | Token::Colon => Err(syntax("a word is expected")),
    }
}
