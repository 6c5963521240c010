//! A statement checked against the index: every column has a type, every comparison fits, every selected column is grouped.

use std::collections::HashMap;

use regex::Regex;

use super::answer::SqlError;
use super::parse::{Column, Condition, Extract, Function, Item, Operand, Selected, Statement};
use crate::simulator::world::Index;

/// What can be evaluated without asking the index again.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) outputs: Vec<Output>,
    pub(super) condition: Option<Condition>,
    /// Whether rows are groups of records.
    pub(super) grouped: bool,
    pub(super) group_by: Vec<Item>,
    pub(super) order_by: Vec<(Item, bool)>,
    pub(super) offset: usize,
    pub(super) limit: usize,
    /// The types of the columns that are used.
    pub(super) columns: HashMap<String, Type>,
    /// The regular expressions, by their text.
    pub(super) patterns: HashMap<String, Regex>,
}

/// A column of the answer.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) name: String,
    pub(super) kind: Type,
    pub(super) item: Item,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    Number,
}

impl Type {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Text => "varchar",
            Self::Number => "bigint",
        }
    }
}

/// The columns that SLS has of every record. `__time__` is a number.
const OWN: [&str; 3] = ["__time__", "__source__", "__topic__"];

pub(super) fn plan(statement: Statement, index: &Index) -> Result<Plan, SqlError> {
    let mut table = Table {
        index,
        columns: HashMap::new(),
        patterns: HashMap::new(),
    };
    let Statement {
        select,
        condition,
        group_by,
        order_by,
        offset,
        limit,
    } = statement;
    if let Some(condition) = &condition {
        table.check(condition)?;
    }
    let group_by = group_by
        .into_iter()
        .map(|key| table.group_key(key, &select))
        .collect::<Result<Vec<_>, _>>()?;
    // An alias wins over a column of the same name.
    let order_by: Vec<_> = order_by
        .into_iter()
        .map(|(item, descending)| (by_alias(&item, &select).unwrap_or(item), descending))
        .collect();
    let items = || {
        select
            .iter()
            .map(|one| &one.item)
            .chain(order_by.iter().map(|(item, _)| item))
    };
    let grouped = !group_by.is_empty() || items().any(|item| matches!(item, Item::Aggregate(..)));
    for item in items() {
        table.kind(item)?;
        let is_grouped = |column: &Column| {
            let of_key = |key: &Item| matches!(key, Item::Column(key) if key == column);
            group_by.contains(item) || group_by.iter().any(of_key)
        };
        if let Item::Column(column) | Item::Extract(Extract { column, .. }) = item
            && grouped
            && !is_grouped(column)
        {
            return Err(SqlError::NotGrouped(column.name.clone()));
        }
    }
    let outputs = select
        .into_iter()
        .enumerate()
        .map(|(at, Selected { item, alias })| {
            let name = alias.unwrap_or_else(|| match &item {
                Item::Column(column) => column.name.clone(),
                Item::Extract(_) | Item::Aggregate(..) => format!("_col{at}"),
            });
            let kind = table.kind(&item)?;
            Ok(Output { name, kind, item })
        })
        .collect::<Result<_, _>>()?;
    Ok(Plan {
        outputs,
        condition,
        grouped,
        group_by,
        order_by,
        offset,
        limit,
        columns: table.columns,
        patterns: table.patterns,
    })
}

/// What an alias stands for.
fn by_alias(item: &Item, select: &[Selected]) -> Option<Item> {
    let Item::Column(column) = item else { return None };
    let fits = |one: &&Selected| !column.of_table && one.alias.as_ref() == Some(&column.name);
    select.iter().find(fits).map(|one| one.item.clone())
}

struct Table<'a> {
    index: &'a Index,
    columns: HashMap<String, Type>,
    patterns: HashMap<String, Regex>,
}

impl Table<'_> {
    /// The type of a column. Names are compared exactly, which is stricter than Trino.
    fn column(&mut self, column: &Column) -> Result<Type, SqlError> {
        let (at, name) = (column.at, column.name.clone());
        let is_there = OWN.contains(&name.as_str()) || self.index.has_analytics(&name);
        if column.of_table || !is_there {
            return Err(SqlError::Unresolved { at, name });
        }
        let kind = match self.index.types.get(&name).map_or("text", String::as_str) {
            _ if name == OWN[0] => Type::Number,
            "text" => Type::Text,
            "long" => Type::Number,
            other => {
                let what = format!("columns of the type {other}");
                return Err(SqlError::Unsupported { at, what });
            }
        };
        self.columns.insert(name, kind);
        Ok(kind)
    }

    fn kind(&mut self, item: &Item) -> Result<Type, SqlError> {
        match item {
            Item::Column(column) => self.column(column),
            Item::Extract(extract) => self.extract(extract),
            Item::Aggregate(function, column) => {
                let of_column = column.as_ref().map(|column| self.column(column)).transpose()?;
                Ok(match function {
                    Function::Count | Function::CountDistinct => Type::Number,
                    Function::Max | Function::Min | Function::Arbitrary => of_column.unwrap_or(Type::Number),
                })
            }
        }
    }

    /// The type of what a regular expression finds in a column. The texts of its errors are Trino's.
    fn extract(&mut self, extract: &Extract) -> Result<Type, SqlError> {
        let (at, kind) = (extract.column.at, self.column(&extract.column)?);
        if kind != Type::Text {
            return Err(types(at, "regexp_extract", (kind, Type::Text)));
        }
        let pattern = Regex::new(&extract.pattern).map_err(|error| SqlError::Syntax {
            at,
            message: format!("Invalid regular expression: {error}"),
        })?;
        let groups = pattern.captures_len() - 1;
        if extract.group > groups {
            let message = format!("Pattern has {groups} groups. Cannot access group {}", extract.group);
            return Err(SqlError::Syntax { at, message });
        }
        self.patterns.insert(extract.pattern.clone(), pattern);
        Ok(Type::Text)
    }

    /// What a GROUP BY means: something of the log, else what is behind an alias.
    fn group_key(&mut self, key: Item, select: &[Selected]) -> Result<Item, SqlError> {
        match self.kind(&key) {
            Ok(_) => Ok(key),
            Err(error) => match by_alias(&key, select) {
                Some(behind) if !matches!(behind, Item::Aggregate(..)) => self.kind(&behind).map(|_| behind),
                _ => Err(error),
            },
        }
    }

    fn operand(&mut self, operand: &Operand) -> Result<Type, SqlError> {
        match operand {
            Operand::Column(column) => self.column(column),
            Operand::Text(_) => Ok(Type::Text),
            Operand::Number(_) => Ok(Type::Number),
        }
    }

    fn check(&mut self, condition: &Condition) -> Result<(), SqlError> {
        match condition {
            Condition::Compare {
                at,
                left,
                operator,
                right,
            } => {
                let kinds = (self.operand(left)?, self.operand(right)?);
                fit(*at, operator, kinds)
            }
            Condition::In(at, operand, values) => {
                let kind = self.operand(operand)?;
                values
                    .iter()
                    .try_for_each(|value| fit(*at, "IN", (kind, self.operand(value)?)))
            }
            Condition::Like(at, operand, _) => match self.operand(operand)? {
                Type::Text => Ok(()),
                kind => Err(types(*at, "LIKE", (kind, Type::Text))),
            },
            Condition::IsNull(operand) => self.operand(operand).map(|_| ()),
            Condition::And(all) | Condition::Or(all) => all.iter().try_for_each(|one| self.check(one)),
            Condition::Not(inner) => self.check(inner),
        }
    }
}

fn fit(at: usize, operator: &'static str, kinds: (Type, Type)) -> Result<(), SqlError> {
    if kinds.0 == kinds.1 {
        Ok(())
    } else {
        Err(types(at, operator, kinds))
    }
}

fn types(at: usize, operator: &'static str, (left, right): (Type, Type)) -> SqlError {
    SqlError::Types {
        at,
        operator,
        left: left.name(),
        right: right.name(),
    }
}
