//! What is asked of a run of a server.

use serde_json::{Value, json};
use stella_model::ErrorCode;
use stella_remote::{Client, RemoteError};

use super::super::Exit;
use super::super::export::{refuse_inside_bundle_or_store, selection, show_plan};
use super::super::report::text;
use super::{item, remote, segment, watch};
use crate::args::{DownloadTrust, PlanArgs, RunArgs, ScopeArgs, SelectArgs};
use crate::commands::service::download;
use crate::context::Context;
use crate::error::Failure;
use crate::output::Page;

/// The order of a run, as the server takes it.
fn order(profile: &str, scope: &ScopeArgs, select: SelectArgs) -> Result<Value, Failure> {
    let usage = |message: &str| Failure::new(ErrorCode::Usage, message);
    if profile.ends_with(".toml") {
        return Err(usage("a server runs profiles of the tenant, not files")
            .hint("stella export profile apply -f FILE makes it one; then run it by its name"));
    }
    if scope.policy_version.is_some() || scope.policy_inputs_hash.is_some() {
        return Err(usage("a server takes the policy from the profile")
            .hint("write it into [policy] of a profile of the tenant"));
    }
    let mut order = json!({ "profile": profile, "select": selection(select) });
    if let Some(as_of) = scope.as_of {
        order["asOf"] = json!(as_of.to_string());
    }
    if let Some(redaction) = &scope.redaction {
        order["redaction"] = json!(redaction);
    }
    if !scope.allow_empty.is_empty() {
        let sets: Vec<String> = scope.allow_empty.iter().map(ToString::to_string).collect();
        order["allowEmpty"] = json!(sets);
    }
    if let Some(reason) = scope.reason.as_ref().filter(|_| scope.accept_drop) {
        order["acceptDrop"] = json!(reason);
    }
    Ok(order)
}

/// `export plan` of a server.
pub(crate) fn plan(client: &Client, args: PlanArgs, context: &Context) -> Result<Exit, Failure> {
    let order = order(&args.profile, &args.scope, args.select)?;
    let report = client.post("plan a run", "/plans", &once()?, Some(&order)).map_err(remote)?;
    show_plan(report, context)
}

/// A key with which a request may be sent again and is done once.
pub(super) fn once() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        Failure::new(ErrorCode::Internal, "the system has no random bytes").because(&error)
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Sends a request that starts something, see [`change`].
pub(super) fn post(
    client: &Client,
    attempt: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<Value, Failure> {
    change(|key| client.post(attempt, path, key, body))
}

/// Sends a request that changes something, again where the connection broke: by its key it is done once.
pub(super) fn change(send: impl Fn(&str) -> Result<Value, RemoteError>) -> Result<Value, Failure> {
    let key = once()?;
    let mut wait = std::time::Duration::from_millis(500);
    for _ in 0..3 {
        match send(&key) {
            Err(error) if error.may_pass() => std::thread::sleep(wait),
            outcome => return outcome.map_err(remote),
        }
        wait *= 2;
    }
    send(&key).map_err(remote)
}

/// `export run` of a server.
pub(crate) fn run(client: &Client, args: RunArgs, context: &Context) -> Result<Exit, Failure> {
    if args.signing.key.is_some() || args.signing.unsigned_for_testing {
        let message = "a server signs with the key of the tenant";
        return Err(Failure::new(ErrorCode::Usage, message).hint(
            "leave --key and --unsigned-for-testing out; --trusted-key names the public key by which \
             the bundle is believed",
        ));
    }
    let order = order(&args.profile, &args.scope, args.select)?;
    let wants_bundle = args.download || args.dest.is_some();
    if wants_bundle {
        // Told before the run is made, not after.
        let DownloadTrust { keys, allow_unsigned_for_testing } = &args.trust;
        stella_engine::trust(keys, &context.store, *allow_unsigned_for_testing)?;
    }
    if let Some(dest) = &args.dest {
        refuse_inside_bundle_or_store(dest, context)?;
    }
    if let Some(dest) = args.dest.as_ref().filter(|dest| !args.replace && dest.exists()) {
        let dest = dest.display();
        context.warn(&format!("{dest} is there: another bundle goes there only with --replace"));
    }
    let run = post(client, "start a run", "/runs", Some(&order))?;
    let id = segment("run", run["id"].as_str().unwrap_or_default())?;
    if !args.watch && !wants_bundle {
        context.print(
            &Page::one("Run", item(&run))
                .text(format!("Run {id}  {}  accepted", text(&run, "profile"))),
        )?;
        context.hint(&format!("Next:  stella export watch {id}"));
        return Ok(Exit::Done);
    }
    let exit = watch::until_over(client, &id, context)?;
    if !wants_bundle || exit != Exit::Done {
        return watch::conclude(client, &id, exit, context);
    }
    let dest =
        args.dest.unwrap_or_else(|| format!("{id}.{}", args.profile.replace(':', "-")).into());
    let fetch = download::Fetch {
        run: id,
        dest,
        carrier: args.carrier,
        replace: args.replace,
        trust: args.trust,
        parallel: 4,
    };
    download::fetch(client, fetch, context)
}
