//! The words that schemas and pages list are those of the code, all of them and no others.
#![expect(clippy::disallowed_methods, reason = "a test reads schemas and pages")]

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;
use stella_pack::{trivy_db, trivy_java_db, trivy_vex};
use stella_testkit::workspace_root;

/// The reasons of a schema of report lines.
fn of_schema(name: &str) -> Vec<String> {
    let path = workspace_root().join(format!("docs/schemas/{name}.schema.json"));
    let schema: Value =
        serde_json::from_slice(&fs::read(path).expect("a schema")).expect("a schema is JSON");
    let words = schema["properties"]["reason"]["enum"].as_array().expect("the reasons");
    words.iter().map(|word| word.as_str().expect("a word").to_owned()).collect()
}

/// The words in the first column of the tables below a sentence.
fn of_page(name: &str, sentence: &str) -> Vec<String> {
    let path = workspace_root().join("docs/modules/export-center").join(name);
    let page = fs::read_to_string(path).expect("a page");
    let (_, rest) = page.split_once(sentence).expect("the sentence above the table");
    let rows = rest.lines().skip_while(|line| !line.starts_with('|'));
    let rows = rows.take_while(|line| line.starts_with('|')).skip(2);
    let first = |row: &str| row.split('|').nth(1).expect("a column").to_owned();
    let words = |column: String| {
        let words = column.split('`').skip(1).step_by(2);
        words.map(str::to_owned).collect::<Vec<String>>()
    };
    rows.map(first).flat_map(words).collect()
}

#[test]
fn schemas_and_pages_list_the_reasons_of_the_code_and_no_others() {
    let db: Vec<&str> = trivy_db::Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    let vex: Vec<&str> = trivy_vex::Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    let java: Vec<&str> = trivy_java_db::Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(of_schema("trivy-db-report-line.v1"), db);
    assert_eq!(of_schema("trivy-vex-report-line.v1"), vex);
    // Its reasons are counted in the manifest alone: there are no lines, so there is no schema of them.
    let sentence = "What has no row is counted in the manifest, in `outputs[].notRepresented`:";
    assert_eq!(of_page("trivy-java-db.md", sentence), java);
}

#[test]
fn the_page_on_profiles_lists_the_data_sources() {
    let listed = of_page("profiles.md", "whichever feed carries them:");
    let listed: BTreeSet<&str> = listed.iter().map(String::as_str).collect();
    assert_eq!(listed, trivy_db::source_ids());
}
