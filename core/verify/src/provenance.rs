//! The provenance statement: about this manifest, made by the plan that it describes.

use serde_json::{Value, json};
use stella_manifest::provenance::{PREDICATE_TYPE, STATEMENT_TYPE};
use stella_manifest::{ExportManifest, Statement, layout};
use stella_model::{Digest, SetKey, rfc8785};

use crate::report::{Check, Findings, Problem};

/// Largest provenance that is read: thousands of sets.
pub(crate) const MAX_BYTES: u64 = 16 << 20;

/// Whether a signed document is an in-toto statement whose only subject is this manifest.
pub(crate) fn is_about(payload: &[u8], export: &[u8]) -> bool {
    if payload.len() as u64 > MAX_BYTES {
        return false;
    }
    let Ok(statement) = serde_json::from_slice::<Statement>(payload) else { return false };
    statement.statement_type == STATEMENT_TYPE && subject_is(&statement, &Digest::of(export))
}

/// Checks `provenance.json` against the manifest.
pub(crate) fn check(
    bytes: &[u8],
    manifest: &ExportManifest,
    export: &Digest,
    findings: &mut Findings,
) {
    let fail = |findings: &mut Findings, problem: Problem| {
        findings.fail(Check::Provenance, problem.of(layout::PROVENANCE));
    };
    let statement: Statement = match serde_json::from_slice(bytes) {
        Ok(statement) => statement,
        Err(error) => {
            fail(findings, Problem::new(format!("it is no in-toto statement: {error}")));
            return;
        }
    };
    if statement.to_bytes() != bytes {
        fail(findings, Problem::new("it is not in RFC 8785 form"));
    }
    for (what, expected, found) in [
        ("statement type", STATEMENT_TYPE, &statement.statement_type),
        ("predicate type", PREDICATE_TYPE, &statement.predicate_type),
    ] {
        if expected != found {
            let problem = Problem::new(format!("it has another {what}"));
            fail(findings, problem.expected(expected, found));
        }
    }
    if !subject_is(&statement, export) {
        let found: Vec<String> =
            statement.subject.iter().map(|s| format!("{} {}", s.name, s.digest.sha256)).collect();
        let problem = Problem::new("its subject is not exactly this export.json");
        fail(findings, problem.expected(format!("export.json {export}"), found.join(", ")));
    }
    let invocation = format!("urn:stella:export:sha256:{}", manifest.plan_hash);
    if statement.invocation_id() != Some(&invocation) {
        let found = statement.invocation_id().unwrap_or("none");
        let problem = Problem::new("its invocationId is not that of the plan");
        fail(findings, problem.expected(&invocation, found));
    }
    check_agreement(&statement.predicate, manifest, findings);
    let plan = rebuilt_plan(&statement.predicate, manifest);
    check_plan(&plan, manifest, findings);
    // The checks before say what differs; this one, that nothing else is there.
    let told = findings.failed(Check::Provenance) || findings.failed(Check::PlanHash);
    if !told && Statement::of_plan(&plan, *export).to_bytes() != bytes {
        fail(findings, Problem::new("it tells more or other than the plan that it names"));
    }
    let version = statement.predicate.pointer(PRODUCER).and_then(Value::as_str).unwrap_or("?");
    let detail = format!("subject is the manifest, builder export-center {version}");
    findings.pass(Check::Provenance, detail);
}

const EXTERNAL: &str = "/buildDefinition/externalParameters";
const INTERNAL: &str = "/buildDefinition/internalParameters";
const PRODUCER: &str = "/runDetails/builder/version/export-center";

fn subject_is(statement: &Statement, export: &Digest) -> bool {
    matches!(&statement.subject[..],
        [subject] if subject.name == layout::EXPORT && subject.digest.sha256 == *export)
}

/// What both files tell must be the same in both.
fn check_agreement(predicate: &Value, manifest: &ExportManifest, findings: &mut Findings) {
    let outputs = predicate.pointer(&format!("{EXTERNAL}/outputs")).and_then(Value::as_array);
    let adapters: Value = outputs
        .into_iter()
        .flatten()
        .map(|output| json!([output["adapter"], output["adapterVersion"]]))
        .collect();
    let listed: Value =
        manifest.outputs.iter().map(|o| json!([o.adapter, o.adapter_version])).collect();
    let rules = &manifest.redaction;
    let redaction = match rules.digest {
        Some(digest) => json!({"digest": digest, "name": rules.name}),
        None => json!({"name": rules.name}),
    };
    let told = |path: String| predicate.pointer(&path).cloned().unwrap_or_default();
    let mut pairs = vec![
        ("asOf", json!(manifest.as_of), told(format!("{EXTERNAL}/asOf"))),
        ("profile", json!(manifest.profile), told(format!("{EXTERNAL}/profile"))),
        ("tenant", json!(manifest.tenant), told(format!("{EXTERNAL}/tenant"))),
        ("outputs", listed, adapters),
        ("redaction", redaction, told(format!("{INTERNAL}/redaction"))),
    ];
    let carries = manifest.parts.iter().any(|part| part.path.as_str().starts_with(layout::DATA));
    if rules.digest.is_none() && (carries || !manifest.sets.is_empty()) {
        // Without redaction what is carried is what was selected. A database made of the records
        // carries none of them.
        pairs.push(("sets", json!(manifest.sets), selected_sets(predicate)));
    }
    for (what, expected, found) in pairs {
        if expected != found {
            let problem = Problem::new(format!("it tells another {what} than the manifest"));
            let problem = problem.of(layout::PROVENANCE).expected(short(&expected), short(&found));
            findings.fail(Check::Provenance, problem);
        }
    }
}

fn short(value: &Value) -> String {
    let mut text: String = value.to_string().chars().take(200).collect();
    if text.len() < value.to_string().len() {
        text.push('…');
    }
    text
}

/// The plan, put together again from what provenance and manifest tell.
fn rebuilt_plan(predicate: &Value, manifest: &ExportManifest) -> Value {
    let external =
        |name: &str| predicate.pointer(EXTERNAL).map_or(Value::Null, |v| v[name].clone());
    let internal =
        |name: &str| predicate.pointer(INTERNAL).map_or(Value::Null, |v| v[name].clone());
    let mut plan = json!({
        "asOf": external("asOf"),
        "codec": internal("codec"),
        "feeds": manifest.feeds,
        "formatVersion": manifest.format_version,
        "outputs": external("outputs"),
        "partition": internal("partition"),
        "producer": predicate.pointer(PRODUCER),
        "profile": external("profile"),
        "redaction": internal("redaction"),
        "selectors": external("selectors"),
        "sets": selected_sets(predicate),
        "tenant": external("tenant"),
    });
    if let Some(handling) = &manifest.handling {
        plan["handling"] = json!(handling);
    }
    let (version, inputs) = (&manifest.policy_version, &manifest.inputs_hash);
    let members = [
        ("policyVersion", version.as_ref().map(|v| json!(v))),
        ("inputsHash", inputs.map(|hash| json!(hash))),
    ];
    let policy: serde_json::Map<String, Value> =
        members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    if !policy.is_empty() {
        plan["policy"] = Value::Object(policy);
    }
    plan
}

/// Compares the digest of the plan, so that nothing in the provenance can tell of another plan than
/// the manifest names.
fn check_plan(plan: &Value, manifest: &ExportManifest, findings: &mut Findings) {
    let found = Digest::of(&rfc8785::to_vec(plan));
    if found != manifest.plan_hash {
        let problem =
            Problem::new("provenance and manifest do not give the plan that planHash names");
        let problem = problem.of(layout::PROVENANCE).expected(manifest.plan_hash, found);
        findings.fail(Check::PlanHash, problem);
    }
    findings.pass(Check::PlanHash, format!("sha256:{}, recomputed", manifest.plan_hash));
}

/// The selected sets as the provenance tells them, in the order of plans.
fn selected_sets(predicate: &Value) -> Value {
    let dependencies = predicate.pointer("/buildDefinition/resolvedDependencies");
    let dependencies = dependencies.and_then(Value::as_array).into_iter().flatten();
    let mut sets: Vec<(SetKey, Value)> = dependencies
        .filter_map(|dependency| {
            dependency["uri"].as_str().filter(|uri| uri.starts_with("urn:stella:set:"))?;
            let set: SetKey = dependency["name"].as_str()?.parse().ok()?;
            let entry = json!({
                "count": dependency["annotations"]["count"],
                "feed": set.feed,
                "kind": set.kind,
                "root": dependency["digest"]["sha256"],
            });
            Some((set, entry))
        })
        .collect();
    sets.sort_by(|a, b| a.0.cmp(&b.0));
    sets.into_iter().map(|(_, entry)| entry).collect()
}
