//! Statements over a handful of records, as tables.

use super::*;
use crate::simulator::world::Record;

const UID: &str = "259083957089437690";

fn records() -> Vec<Record> {
    let suffixed = format!("{UID}-1700000000");
    vec![
        Record::by(UID).set("sourceIPs", "a").at(100),
        Record::by(UID).set("sourceIPs", "b").set("verb", "list").at(300),
        Record::by(UID).set("sourceIPs", "b").set("userAgent", "O'Neil").at(200),
        Record::by(&suffixed).set("sourceIPs", "c").at(50),
        Record::by("100%_sure")
            .without("sourceIPs")
            .set("verb", "delete")
            .at(400),
    ]
}

/// Columns joined with `,`, rows with `;`.
fn result(statement: &str, index: &Index) -> Result<String, SqlError> {
    let records = records();
    let rows: Vec<Row<'_>> = records.iter().map(|record| Row { record, analysed: true }).collect();
    Ok(text(&prepare(statement, index)?.run(&rows)))
}

fn text(analysis: &Analysis) -> String {
    let row = |row: &Vec<Datum>| row.iter().map(Datum::to_string).collect::<Vec<_>>().join(",");
    analysis.rows.iter().map(row).collect::<Vec<_>>().join(";")
}

fn error(statement: &str) -> String {
    result(statement, &Index::default()).expect_err(statement).to_string()
}

#[test]
fn statements_have_the_rows_that_sql_gives_them() {
    for (statement, expected) in [
        ("SELECT count(*)", "5"),
        ("select COUNT(1) As n FROM log;", "5"),
        ("SELECT count(sourceIPs), count(DISTINCT sourceIPs) FROM log", "4,3"),
        ("SELECT min(__time__), max(__time__) FROM log", "50,400"),
        ("SELECT max(sourceIPs), min(sourceIPs) FROM log", "c,a"),
        (
            r#"SELECT regexp_extract("user.username", '^([0-9]+)(-.*)?$', 1) AS uid, max(__time__) AS last FROM log GROUP BY regexp_extract("user.username", '^([0-9]+)(-.*)?$', 1) ORDER BY last"#,
            "259083957089437690,300;null,400",
        ),
        (
            "SELECT regexp_extract(verb, 'l') AS l, count(*) n FROM log GROUP BY l ORDER BY n",
            "l,2;null,3",
        ),
        (
            "SELECT regexp_extract(verb, '(g)|(l)', 2), verb FROM log WHERE verb IN ('get', 'list') GROUP BY verb",
            "null,get;l,list",
        ),
        // No record: one row without a GROUP BY, none with one.
        (
            "SELECT count(*), max(__time__), arbitrary(verb) FROM log WHERE verb = 'x'",
            "0,null,null",
        ),
        ("SELECT verb, count(*) FROM log WHERE verb = 'x' GROUP BY verb", ""),
        (
            r#"SELECT "user.username" AS who, count(*) AS n, max(__time__) AS last FROM log GROUP BY "user.username" ORDER BY last DESC"#,
            "100%_sure,1,400;259083957089437690,3,300;259083957089437690-1700000000,1,50",
        ),
        (
            r#"SELECT sourceIPs, verb, count(*) n FROM log WHERE "user.username" = '259083957089437690' GROUP BY sourceIPs, verb ORDER BY n, sourceIPs DESC, verb"#,
            "b,get,1;b,list,1;a,get,1",
        ),
        (
            "SELECT sourceIPs AS ip, count(*) FROM log GROUP BY ip ORDER BY count(*) DESC, ip LIMIT 2",
            "b,2;a,1",
        ),
        // Nulls come last in both directions.
        (
            "SELECT sourceIPs FROM log GROUP BY sourceIPs ORDER BY sourceIPs",
            "a;b;c;null",
        ),
        (
            "SELECT sourceIPs FROM log GROUP BY sourceIPs ORDER BY sourceIPs DESC",
            "c;b;a;null",
        ),
        ("SELECT __time__ FROM log ORDER BY __time__ LIMIT 2", "50;100"),
        ("SELECT __time__ FROM log ORDER BY __time__ LIMIT 1, 2", "100;200"),
        ("SELECT __time__ FROM log LIMIT 0", ""),
        ("SELECT arbitrary(userAgent) FROM log WHERE __time__ = 200", "O'Neil"),
        ("SELECT __time__ FROM log WHERE userAgent = 'O''Neil'", "200"),
        ("SELECT max(__time__) AS \"a \"\"b\"\"\" FROM log", "400"),
    ] {
        assert_eq!(
            result(statement, &Index::default()).as_deref(),
            Ok(expected),
            "{statement}"
        );
    }
}

#[test]
fn conditions_hold_as_in_sql() {
    for (condition, expected) in [
        ("verb = 'list'", "300"),
        ("verb = 'LIST'", ""),
        ("verb <> 'get'", "300;400"),
        ("verb != 'get'", "300;400"),
        ("verb IN ('list', 'delete')", "300;400"),
        ("verb NOT IN ('list', 'delete')", "50;100;200"),
        (r#""user.username" LIKE '259083957089437690%'"#, "50;100;200;300"),
        (r#""user.username" LIKE '259083957089437690-%'"#, "50"),
        (r#""user.username" LIKE '%00%0_'"#, "50"),
        (r#""user.username" LIKE '259083957089437690'"#, "100;200;300"),
        (r#""user.username" LIKE '_00%'"#, "400"),
        (r#""user.username" NOT LIKE '%9%'"#, "400"),
        ("__time__ >= 200 AND __time__ < 400", "200;300"),
        ("__time__ > -1 and __time__ <= 50", "50"),
        ("verb = 'list' OR verb = 'get' AND sourceIPs = 'a'", "100;300"),
        ("(verb = 'list' OR verb = 'get') AND sourceIPs = 'a'", "100"),
        ("NOT verb = 'get'", "300;400"),
        ("NOT (verb = 'get' OR verb = 'list')", "400"),
        // A comparison with null is neither true nor false.
        ("sourceIPs = 'a'", "100"),
        ("sourceIPs <> 'a'", "50;200;300"),
        ("NOT sourceIPs = 'a'", "50;200;300"),
        ("sourceIPs NOT IN ('a')", "50;200;300"),
        ("sourceIPs = 'a' OR verb = 'delete'", "100;400"),
        ("NOT (sourceIPs = 'a' AND verb = 'get')", "50;200;300;400"),
        ("sourceIPs IS NULL", "400"),
        ("sourceIPs IS NOT NULL", "50;100;200;300"),
    ] {
        let statement = format!("SELECT __time__ FROM log WHERE {condition} ORDER BY __time__");
        assert_eq!(
            result(&statement, &Index::default()).as_deref(),
            Ok(expected),
            "{condition}"
        );
    }
}

#[test]
fn columns_need_analytics() {
    let index = Index::default().without_analytics("verb").without("sourceIPs");
    for (statement, name, at) in [
        ("SELECT verb FROM log", "verb", 8),
        ("SELECT count(*) FROM log WHERE verb = 'get'", "verb", 32),
        ("SELECT count(*) FROM log GROUP BY verb", "verb", 35),
        ("SELECT count(*) FROM log GROUP BY verb ORDER BY verb", "verb", 35),
        ("SELECT count(sourceIPs) FROM log", "sourceIPs", 14),
        ("SELECT nowhere FROM log", "nowhere", 8),
        // Without quotation marks, this is a column of a table `user`.
        ("SELECT user.username FROM log", "user.username", 8),
        ("SELECT VERB FROM log", "VERB", 8),
    ] {
        let expected =
            format!("line 1:{at}: Column '{name}' cannot be resolved;please add the column in the index attribute");
        let error = result(statement, &index).expect_err(statement);
        assert_eq!(error.to_string(), expected, "{statement}");
    }
    let full_text_only = Index {
        full_text: true,
        keys: Vec::new(),
        ..Index::default()
    };
    assert!(result("SELECT verb FROM log", &full_text_only).is_err());
    assert_eq!(result("SELECT count(*) FROM log", &full_text_only).as_deref(), Ok("5"));
}

#[test]
fn types_are_those_of_the_index() {
    let index = Index::default()
        .of_type("responseStatus.code", "long")
        .of_type("stage", "double");
    let code = r#""responseStatus.code""#;
    assert_eq!(
        result(&format!("SELECT count(*) FROM log WHERE {code} = 200"), &index).as_deref(),
        Ok("5")
    );
    for (statement, index, expected) in [
        (
            format!("SELECT count(*) FROM log WHERE {code} = '200'"),
            &index,
            "line 1:54: '=' cannot be applied to bigint, varchar",
        ),
        (
            format!("SELECT count(*) FROM log WHERE {code} = 200"),
            &Index::default(),
            "line 1:54: '=' cannot be applied to varchar, bigint",
        ),
        (
            "SELECT count(*) FROM log WHERE __time__ LIKE '1%'".to_owned(),
            &index,
            "line 1:41: 'LIKE' cannot be applied to bigint, varchar",
        ),
        (
            "SELECT count(*) FROM log WHERE verb IN ('a', 1)".to_owned(),
            &index,
            "line 1:37: 'IN' cannot be applied to varchar, bigint",
        ),
        (
            "SELECT stage FROM log".to_owned(),
            &index,
            "line 1:8: the simulator does not know columns of the type double",
        ),
    ] {
        assert_eq!(result(&statement, index).expect_err(&statement).to_string(), expected);
    }
    let analysis = prepare(
        r#"SELECT "user.username", count(*), max(__time__) AS last, max(verb) FROM log GROUP BY "user.username""#,
        &index,
    );
    let analysis = analysis.expect("a statement").run(&[]);
    assert_eq!(analysis.names, ["user.username", "_col1", "last", "_col3"]);
    assert_eq!(analysis.types, ["varchar", "bigint", "bigint", "varchar"]);
}

#[test]
fn what_sql_refuses_is_refused() {
    let not_grouped =
        |name: &str| format!("Column '{name}' not in GROUP BY clause;please add the column in the index attribute");
    for (statement, expected) in [
        (
            "SELECT verb, stage, count(*) FROM log GROUP BY verb",
            not_grouped("stage"),
        ),
        ("SELECT verb, count(*) FROM log", not_grouped("verb")),
        (
            "SELECT verb FROM log GROUP BY verb ORDER BY stage",
            not_grouped("stage"),
        ),
        (
            "SELECT 1st FROM log",
            "line 1:8: identifiers must not start with a digit; surround the identifier with double quotes".to_owned(),
        ),
        ("", "line 1:1: mismatched input '<EOF>' expecting select".to_owned()),
        (
            "SELECT FROM log",
            "line 1:8: mismatched input 'FROM' expecting a name".to_owned(),
        ),
        (
            "SELECT verb FROM log LIMIT -1",
            "line 1:28: mismatched input '-' expecting a number of rows up to 1000000".to_owned(),
        ),
        (
            "SELECT verb FROM log LIMIT 1000001",
            "line 1:28: mismatched input '1000001' expecting a number of rows up to 1000000".to_owned(),
        ),
        (
            "SELECT verb FROM log WHERE verb = 'a",
            "line 1:35: ' is not closed".to_owned(),
        ),
        (
            "SELECT verb FROM log WHERE (verb = 'a'",
            "line 1:39: mismatched input '<EOF>' expecting )".to_owned(),
        ),
        (
            "SELECT verb FROM log WHERE verb",
            "line 1:32: mismatched input '<EOF>' expecting like".to_owned(),
        ),
        (
            "SELECT verb log FROM log x",
            "line 1:26: mismatched input 'x' expecting the end".to_owned(),
        ),
        ("SELECT verb # FROM log", "line 1:13: unexpected character #".to_owned()),
        // “ and ” are no quotation marks in SQL.
        ("SELECT “verb”", "line 1:8: unexpected character “".to_owned()),
    ] {
        assert_eq!(error(statement), expected, "{statement}");
    }
}

#[test]
fn what_is_outside_the_subset_is_never_answered() {
    for (statement, at, what) in [
        ("SELECT * FROM log", 8, "SELECT *"),
        ("SELECT DISTINCT verb FROM log", 8, "SELECT DISTINCT"),
        ("SELECT sum(__time__) FROM log", 8, "the function sum"),
        ("SELECT verb FROM other", 18, "the table other"),
        (
            "SELECT verb, count(*) FROM log GROUP BY verb HAVING count(*) > 1",
            46,
            "HAVING",
        ),
    ] {
        assert_eq!(
            error(statement),
            format!("line 1:{at}: the simulator does not know {what}")
        );
    }
    let deep = format!("SELECT verb FROM log WHERE {}verb = 'a'", "(".repeat(10_000));
    assert!(error(&deep).contains("nested so deeply"));
}

#[test]
fn a_hundred_rows_come_unless_a_limit_says_otherwise() {
    let records: Vec<Record> = (0..250).map(|n| Record::by(&format!("u{n}")).at(n)).collect();
    let rows: Vec<Row<'_>> = records.iter().map(|record| Row { record, analysed: true }).collect();
    for (limit, expected) in [("", 100), ("LIMIT 200", 200), ("LIMIT 1000", 250)] {
        for statement in [
            r#"SELECT "user.username", count(*) FROM log GROUP BY "user.username""#,
            "SELECT __time__ FROM log",
        ] {
            let prepared = prepare(&format!("{statement} {limit}"), &Index::default()).expect(statement);
            assert_eq!(prepared.run(&rows).rows.len(), expected, "{statement} {limit}");
        }
    }
}

#[test]
fn records_from_before_the_index_have_no_columns_but_slss_own() {
    let records = records();
    let rows: Vec<Row<'_>> = records
        .iter()
        .map(|record| Row {
            record,
            analysed: record.time() >= 200,
        })
        .collect();
    let statement = "SELECT verb, count(*), max(__time__) FROM log GROUP BY verb ORDER BY verb";
    let prepared = prepare(statement, &Index::default()).expect("a statement");
    assert_eq!(
        text(&prepared.run(&rows)),
        "delete,1,400;get,1,200;list,1,300;null,2,100"
    );
}
