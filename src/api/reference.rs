//! Compares `docs/api.md` with the code, in both directions.

use super::{
    ConditionType, Ends, Reason, crd,
    scan::{ScanCondition, ScanReason},
    scan_crd,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;
use std::collections::BTreeMap;

/// The rows of the tables in the section under `heading`, by the code in their first cell; the other cells.
fn rows(heading: &str) -> BTreeMap<String, Vec<String>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/api.md");
    let page = std::fs::read_to_string(path).unwrap();
    let section = page
        .split("\n## ")
        .find(|section| section.starts_with(&format!("{heading}\n")));
    let mut rows = BTreeMap::new();
    for line in section.unwrap().lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = line
            .trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect();
        let name = cells[0].trim_matches('`').to_owned();
        assert!(
            cells[1..].last().is_some_and(|cell| !cell.is_empty()),
            "{name} has no explanation"
        );
        assert!(
            rows.insert(name.clone(), cells[1..].to_vec()).is_none(),
            "{name} has two rows"
        );
    }
    rows
}

/// Every field under `schema` by its path, as in `plan.bindings[].kind`, with its schema.
fn fields(schema: &Value, prefix: &str, found: &mut BTreeMap<String, Value>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{prefix}{name}");
        fields(field, &format!("{path}."), found);
        fields(&field["items"], &format!("{path}[]."), found);
        found.insert(path, field.clone());
    }
}

fn fields_of(crd: CustomResourceDefinition, part: &str) -> BTreeMap<String, Value> {
    let crd = serde_json::to_value(crd).unwrap();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"][part];
    let mut found = BTreeMap::new();
    fields(schema, "", &mut found);
    found
}

#[track_caller]
fn assert_same<'a>(code: impl Iterator<Item = &'a str>, rows: &BTreeMap<String, Vec<String>>) {
    let (mut code, page): (Vec<_>, Vec<_>) = (code.collect(), rows.keys().map(String::as_str).collect());
    code.sort_unstable();
    let missing: Vec<_> = code.iter().filter(|word| !page.contains(word)).collect();
    let invented: Vec<_> = page.iter().filter(|word| !code.contains(word)).collect();
    assert!(missing.is_empty(), "without a row in docs/api.md: {missing:?}");
    assert!(invented.is_empty(), "only in docs/api.md: {invented:?}");
}

#[test]
fn every_condition_type_has_a_row_and_nothing_else_has() {
    assert_same(
        ConditionType::ALL.iter().map(|type_| type_.as_str()),
        &rows("Conditions"),
    );
}

#[test]
fn every_reason_has_a_row_and_nothing_else_has() {
    let rows = rows("Reasons");
    assert_same(Reason::ALL.iter().map(|reason| reason.as_str()), &rows);
    for (reason, cells) in rows {
        for condition in cells[0].split(", ").filter(|c| !matches!(*c, "any" | "state")) {
            let named = ConditionType::parse(condition.trim_matches('`'));
            assert!(named.is_some(), "{reason}: there is no condition {condition}");
        }
    }
}

/// The rule, as people read it.
#[test]
fn the_page_says_of_each_reason_whether_a_person_must_act() {
    let rows = rows("Reasons");
    for reason in Reason::ALL {
        let cells = &rows[reason.as_str()];
        let says = cells.iter().any(|cell| cell.contains("**Stalled.**"));
        assert_eq!(says, reason.ends() == Some(Ends::Person), "{reason}: {cells:?}");
        let is_state = cells[0]
            .split(", ")
            .any(|condition| condition == "state" || condition == "any");
        let shown = matches!(reason, Reason::NothingFound | Reason::DryRun | Reason::None);
        assert!(shown || is_state == reason.ends().is_some(), "{reason}: {cells:?}");
    }
}

#[test]
fn every_field_of_the_spec_has_a_row_with_its_choices_and_default() {
    compare_spec(crd(), "spec");
    compare_spec(scan_crd(), "PermissionScan: spec");
}

fn compare_spec(crd: CustomResourceDefinition, heading: &str) {
    let (fields, rows) = (fields_of(crd, "spec"), rows(heading));
    assert_same(fields.keys().map(String::as_str), &rows);
    for (path, field) in fields {
        let [allowed, default, _] = rows[&path].as_slice() else {
            panic!("{path} has other columns")
        };
        for choice in field["enum"].as_array().into_iter().flatten() {
            let choice = choice.as_str().unwrap();
            assert!(
                allowed.contains(&format!("`{choice}`")),
                "{path}: {choice} is not there"
            );
        }
        match &field["default"] {
            Value::Null => assert_eq!(default, "", "{path} has no default"),
            // Its fields have defaults of their own.
            Value::Object(_) => {}
            Value::String(word) => assert_eq!(*default, format!("`{word}`"), "{path}"),
            value => assert_eq!(*default, format!("`{value}`"), "{path}"),
        }
        for bound in ["minimum", "maximum"]
            .into_iter()
            .filter_map(|bound| field[bound].as_f64())
        {
            assert!(
                allowed.split(' ').any(|word| word == bound.to_string()),
                "{path}: {bound} is not there"
            );
        }
    }
}

#[test]
fn every_field_of_the_status_has_a_row_with_its_values() {
    compare_status(crd(), "status");
    compare_status(scan_crd(), "PermissionScan: status");
}

#[test]
fn every_condition_and_reason_of_a_scan_has_a_row_and_nothing_else_has() {
    assert_same(
        ScanCondition::ALL.iter().map(|type_| type_.as_str()),
        &rows("PermissionScan: conditions"),
    );
    let rows = rows("PermissionScan: reasons");
    assert_same(ScanReason::ALL.iter().map(|reason| reason.as_str()), &rows);
    for reason in ScanReason::ALL {
        let says = rows[reason.as_str()].iter().any(|cell| cell.contains("**Stalled.**"));
        assert_eq!(says, reason.is_stalled(), "{reason}");
    }
}

fn compare_status(crd: CustomResourceDefinition, heading: &str) {
    let (fields, rows) = (fields_of(crd, "status"), rows(heading));
    assert_same(fields.keys().map(String::as_str), &rows);
    for (path, field) in fields {
        for value in field["enum"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            assert!(
                rows[&path][0].contains(&format!("`{value}`")),
                "{path}: {value} is not there"
            );
        }
    }
}
