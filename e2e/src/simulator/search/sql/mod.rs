//! The analytic part of an SLS query: `<search> | SELECT ... FROM log WHERE ... GROUP BY ... ORDER BY ... LIMIT n`.
//!
//! A subset of what SLS understands, evaluated over the records that the search found. What is outside the subset is
//! refused with [`SqlError::Unsupported`] and never answered approximately. Columns, functions, aliases, the comparison
//! with `null` and the order of rows follow SQL as Trino has it, on which SLS's analysis is built.
//!
//! ```text
//! SELECT item [[AS] alias], ...       item: key | count(*) | count([DISTINCT] column) | max | min | arbitrary (column)
//!                                     key: column | regexp_extract(column, 'pattern' [, group])
//! [FROM log]
//! [WHERE condition]                   = <> != < <= > >=  [NOT] IN  [NOT] LIKE  IS [NOT] NULL  AND  OR  NOT  ( )
//! [GROUP BY key | alias, ...]
//! [ORDER BY item | alias [ASC | DESC], ...]
//! [LIMIT [offset,] rows]              100 rows without it, 1,000,000 at most
//! ```

mod answer;
mod lex;
mod parse;
mod plan;
mod run;

pub(crate) use answer::{Analysis, Datum, Row, SqlError};

use crate::simulator::world::Index;

/// A statement that has been checked against an index.
#[derive(Debug)]
pub(crate) struct Prepared(plan::Plan);

/// Reads a statement, and checks it against the index: columns need analytics, types must fit.
pub(crate) fn prepare(text: &str, index: &Index) -> Result<Prepared, SqlError> {
    plan::plan(parse::parse(text)?, index).map(Prepared)
}

impl Prepared {
    /// Evaluates it. Without a GROUP BY, a statement with aggregates has one row, also over no records.
    pub(crate) fn run(&self, rows: &[Row<'_>]) -> Analysis {
        run::run(&self.0, rows)
    }
}

#[cfg(test)]
mod tests;
