//! A query that was read, and why one is refused.

/// Why a query was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// It names a field that has no index of its own.
    #[error(
        "key ({0}) is not config as key value config, if symbol : is in your log, please wrap : with quotation mark \""
    )]
    NotIndexed(String),
    /// It cannot be read.
    #[error("{0}")]
    Syntax(String),
}

/// A parsed query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Query {
    All,
    Term { field: Option<String>, pattern: Pattern },
    And(Vec<Query>),
    Or(Vec<Query>),
    Not(Box<Query>),
}

/// What a value must contain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// Any value at all: `field: *`.
    Anything,
    /// All of these words, in any order.
    Words(Vec<String>),
    /// A word with `*` or `?` in it.
    Wildcard(String),
    /// This text, word for word: `#"..."`.
    Phrase(String),
}
