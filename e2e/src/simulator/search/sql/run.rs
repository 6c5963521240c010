//! Evaluating a plan over records.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::answer::{Analysis, Datum, Row};
use super::parse::{Column, Condition, Extract, Function, Item, Operand};
use super::plan::{Plan, Type};

pub(super) fn run(plan: &Plan, rows: &[Row<'_>]) -> Analysis {
    let holds = |row: &&Row<'_>| {
        let condition = plan.condition.as_ref();
        condition.is_none_or(|condition| plan.holds(condition, row) == Some(true))
    };
    let rows = rows.iter().filter(holds);
    let groups: Vec<Vec<&Row<'_>>> = if !plan.grouped {
        rows.map(|row| vec![row]).collect()
    } else if plan.group_by.is_empty() {
        vec![rows.collect()]
    } else {
        // In the order of the keys: SLS promises none, and an answer should be the same twice.
        let mut groups: BTreeMap<Vec<Datum>, Vec<&Row<'_>>> = BTreeMap::new();
        for row in rows {
            let key = plan.group_by.iter().map(|key| plan.scalar(key, row)).collect();
            groups.entry(key).or_default().push(row);
        }
        groups.into_values().collect()
    };
    let mut sorted: Vec<(Vec<Datum>, Vec<Datum>)> = groups
        .iter()
        .map(|group| {
            let keys = plan.order_by.iter().map(|(item, _)| plan.evaluate(item, group));
            let values = plan.outputs.iter().map(|output| plan.evaluate(&output.item, group));
            (keys.collect(), values.collect())
        })
        .collect();
    sorted.sort_by(|(left, _), (right, _)| {
        let keys = plan.order_by.iter().zip(left.iter().zip(right));
        keys.map(|((_, descending), (left, right))| compare(left, right, *descending))
            .find(|ordering| ordering.is_ne())
            .unwrap_or(Ordering::Equal)
    });
    Analysis {
        names: plan.outputs.iter().map(|output| output.name.clone()).collect(),
        types: plan.outputs.iter().map(|output| output.kind.name()).collect(),
        rows: sorted
            .into_iter()
            .map(|(_, values)| values)
            .skip(plan.offset)
            .take(plan.limit)
            .collect(),
        limit: plan.limit,
    }
}

/// Nulls come last in either direction.
fn compare(left: &Datum, right: &Datum, descending: bool) -> Ordering {
    match (left, right) {
        (Datum::Null, _) | (_, Datum::Null) => left.cmp(right),
        _ if descending => right.cmp(left),
        _ => left.cmp(right),
    }
}

impl Plan {
    fn value(&self, column: &Column, row: &Row<'_>) -> Datum {
        let seen = row.analysed || column.name.starts_with("__");
        let Some(value) = row.record.get(&column.name).filter(|_| seen) else {
            return Datum::Null;
        };
        match self.columns.get(&column.name) {
            Some(Type::Number) => value.parse().map_or(Datum::Null, Datum::Number),
            _ => Datum::Text(value.to_owned()),
        }
    }

    /// What a regular expression finds first: null if it finds nothing, or the group takes no part in it.
    fn extract(&self, Extract { column, pattern, group }: &Extract, row: &Row<'_>) -> Datum {
        let Datum::Text(text) = self.value(column, row) else {
            return Datum::Null;
        };
        let found = self.patterns.get(pattern).and_then(|pattern| pattern.captures(&text));
        let part = found.and_then(|found| Some(found.get(*group)?.as_str().to_owned()));
        part.map_or(Datum::Null, Datum::Text)
    }

    /// The value of what is no aggregate.
    fn scalar(&self, item: &Item, row: &Row<'_>) -> Datum {
        match item {
            Item::Column(column) => self.value(column, row),
            Item::Extract(extract) => self.extract(extract, row),
            Item::Aggregate(..) => Datum::Null,
        }
    }

    fn evaluate(&self, item: &Item, group: &[&Row<'_>]) -> Datum {
        let values = |column: &Column| {
            let values = group.iter().map(|row| self.value(column, row));
            values.filter(|value| *value != Datum::Null).collect::<Vec<_>>()
        };
        let count = |count: usize| Datum::Number(count as i64);
        match item {
            Item::Column(_) | Item::Extract(_) => group.first().map_or(Datum::Null, |row| self.scalar(item, row)),
            Item::Aggregate(_, None) => count(group.len()),
            Item::Aggregate(function, Some(column)) => {
                let mut values = values(column).into_iter();
                match function {
                    Function::Count => count(values.len()),
                    Function::CountDistinct => count(values.collect::<BTreeSet<_>>().len()),
                    Function::Max => values.max().unwrap_or(Datum::Null),
                    Function::Min => values.min().unwrap_or(Datum::Null),
                    Function::Arbitrary => values.next().unwrap_or(Datum::Null),
                }
            }
        }
    }

    fn operand(&self, operand: &Operand, row: &Row<'_>) -> Datum {
        match operand {
            Operand::Column(column) => self.value(column, row),
            Operand::Text(text) => Datum::Text(text.clone()),
            Operand::Number(number) => Datum::Number(*number),
        }
    }

    /// Whether a condition is true of a record; none is SQL's "unknown", which a null makes of a comparison.
    fn holds(&self, condition: &Condition, row: &Row<'_>) -> Option<bool> {
        match condition {
            Condition::Compare {
                left, operator, right, ..
            } => {
                let (left, right) = (self.operand(left, row), self.operand(right, row));
                let ordering = known(&left, &right)?;
                Some(match *operator {
                    "=" => ordering.is_eq(),
                    "<" => ordering.is_lt(),
                    "<=" => ordering.is_le(),
                    ">" => ordering.is_gt(),
                    ">=" => ordering.is_ge(),
                    _ => ordering.is_ne(),
                })
            }
            Condition::In(_, operand, values) => {
                let left = self.operand(operand, row);
                any(values
                    .iter()
                    .map(|value| known(&left, &self.operand(value, row)).map(Ordering::is_eq)))
            }
            Condition::Like(_, operand, pattern) => match self.operand(operand, row) {
                Datum::Text(text) => {
                    let (pattern, text): (Vec<_>, Vec<_>) = (pattern.chars().collect(), text.chars().collect());
                    Some(like(&pattern, &text))
                }
                _ => None,
            },
            Condition::IsNull(operand) => Some(self.operand(operand, row) == Datum::Null),
            Condition::Or(all) => any(all.iter().map(|one| self.holds(one, row))),
            Condition::And(all) => any(all.iter().map(|one| not(self.holds(one, row)))).map(|found| !found),
            Condition::Not(inner) => not(self.holds(inner, row)),
        }
    }
}

fn known(left: &Datum, right: &Datum) -> Option<Ordering> {
    let known = *left != Datum::Null && *right != Datum::Null;
    known.then(|| left.cmp(right))
}

fn not(value: Option<bool>) -> Option<bool> {
    value.map(|value| !value)
}

/// Whether one is true; unknown if none is, and one is unknown.
fn any(values: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut result = Some(false);
    for value in values {
        match value {
            Some(true) => return Some(true),
            Some(false) => {}
            None => result = None,
        }
    }
    result
}

/// Whether a text fits a pattern with `%` (any characters) and `_` (one). The time is bounded by the product of the lengths.
fn like(pattern: &[char], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on after the latest %, one character later each time.
    let mut retry = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('%') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(c) if *c == '_' || *c == text[t] => (p, t) = (p + 1, t + 1),
            _ => match retry {
                Some((after, from)) => {
                    retry = Some((after, from + 1));
                    (p, t) = (after, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '%')
}
