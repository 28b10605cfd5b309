//! The words of the reports, beside their schemas.

#![expect(clippy::disallowed_types, reason = "a test reads files; INV-PURE binds the crate")]

use std::collections::BTreeSet;
use std::fs::File;

use serde_json::Value;
use stella_pack::{trivy_db, trivy_vex};

#[test]
fn the_schemas_have_every_reason_and_no_other() {
    let db: Vec<&str> = trivy_db::Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    let vex: Vec<&str> = trivy_vex::Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    for (name, reasons) in [("trivy-db-report-line", db), ("trivy-vex-report-line", vex)] {
        let path = format!("docs/schemas/{name}.v1.schema.json");
        let file = File::open(stella_testkit::workspace_root().join(path)).expect("a schema");
        let schema: Value = serde_json::from_reader(file).expect("JSON");
        let named = schema["properties"]["reason"]["enum"].as_array().expect("a list").iter();
        let named: Vec<&str> = named.map(|reason| reason.as_str().expect("a word")).collect();
        let sorted = |reasons: &[&str]| reasons.iter().map(|r| (*r).to_owned()).collect();
        let (named, told): (BTreeSet<String>, BTreeSet<String>) =
            (sorted(&named), sorted(&reasons));
        assert_eq!(named, told, "{name}");
        assert_eq!(told.len(), reasons.len());
    }
}
