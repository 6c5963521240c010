//! What comes of an analysis, and why one is refused.

use crate::simulator::world::Record;

/// So many rows come without a LIMIT. [source: SLS, "LIMIT clause"]
pub(super) const DEFAULT_ROWS: usize = 100;
/// No LIMIT is larger. [source: the same]
pub(super) const MAX_ROWS: usize = 1_000_000;

/// Why an analysis was refused. Positions are characters of the statement, counted from 1.
///
/// The texts of `Unresolved`, `NotGrouped` and `Digit` are those of SLS's page about common errors; that they come with
/// status 400 and the code ParameterInvalid is unproven, and so are the other texts, which follow Trino's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SqlError {
    /// A column that is not indexed, or is without analytics.
    #[error("line 1:{at}: Column '{name}' cannot be resolved;please add the column in the index attribute")]
    Unresolved { at: usize, name: String },
    /// A column beside aggregates that no GROUP BY names.
    #[error("Column '{0}' not in GROUP BY clause;please add the column in the index attribute")]
    NotGrouped(String),
    /// A name such as `1st` without quotation marks.
    #[error("line 1:{0}: identifiers must not start with a digit; surround the identifier with double quotes")]
    Digit(usize),
    /// A text is compared with a number.
    #[error("line 1:{at}: '{operator}' cannot be applied to {left}, {right}")]
    Types {
        at: usize,
        operator: &'static str,
        left: &'static str,
        right: &'static str,
    },
    /// It cannot be read.
    #[error("line 1:{at}: {message}")]
    Syntax { at: usize, message: String },
    /// SLS understands it, or may; the simulator does not.
    #[error("line 1:{at}: the simulator does not know {what}")]
    Unsupported { at: usize, what: String },
}

/// A record that the search found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) record: &'a Record,
    /// Whether it was written under the present index. Of an older one, only SLS's own fields have values.
    pub(crate) analysed: bool,
}

/// What came of an analysis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Analysis {
    /// The names of the columns, in the order of the statement.
    pub(crate) names: Vec<String>,
    /// Their types, in the same order: `varchar` or `bigint`.
    pub(crate) types: Vec<&'static str>,
    /// The values, in the same order.
    pub(crate) rows: Vec<Vec<Datum>>,
    /// How many rows there can be at most.
    pub(crate) limit: usize,
}

/// A value. The order is that of ascending sorting, where nulls come last.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Datum {
    Number(i64),
    Text(String),
    Null,
}

impl std::fmt::Display for Datum {
    /// As in an answer, where every value is a string. (That null is the word `null` there is unproven.)
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
            Self::Null => f.write_str("null"),
        }
    }
}
