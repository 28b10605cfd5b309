//! Commands against a server: `--server`, or a server that `auth login` remembers.

pub(crate) mod auth;
pub(crate) mod download;
pub(crate) mod evidence;
pub(crate) mod library;
pub(crate) mod order;
pub(crate) mod profiles;
pub(crate) mod pull;
pub(crate) mod runs;
pub(crate) mod watch;

use serde_json::Value;
use stella_engine::EngineError;
use stella_model::ErrorCode;
use stella_model::screen::Safe;
use stella_remote::{Client, Credentials, RemoteError};

use super::report::list;
use crate::context::Context;
use crate::contexts::Contexts;
use crate::error::Failure;
use crate::output::Item;

/// The variable that may hold the token.
pub(super) const TOKEN: &str = "STELLA_TOKEN";

/// An error of the server as the engine tells it.
pub(super) fn remote(error: RemoteError) -> Failure {
    EngineError::from(error).into()
}

/// The server that commands go to; none where they work on the store of this machine.
pub(crate) fn server(context: &Context) -> Result<Option<Client>, Failure> {
    if context.global.local {
        return Ok(None);
    }
    let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let address = context.global.server.clone().or_else(|| variable("STELLA_SERVER"));
    let contexts = Contexts::load()?;
    let current = contexts.current.as_ref().and_then(|name| contexts.contexts.get(name));
    let remembered = match &address {
        // Of several tokens for one server the current one comes first.
        Some(address) => current
            .into_iter()
            .chain(contexts.contexts.values())
            .find(|context| same(&context.server, address)),
        None => current,
    };
    let Some(address) = address.or_else(|| remembered.map(|context| context.server.clone())) else {
        return Ok(None);
    };
    let token = variable(TOKEN).or_else(|| remembered.map(|context| context.token.clone()));
    let token = token.ok_or_else(|| {
        let message = format!("there is no token for {}", Safe(&address));
        Failure::new(ErrorCode::NotAllowed, message)
            .hint(format!("stella auth login --server {address}, or set {TOKEN}"))
    })?;
    client(&address, token).map(Some)
}

/// Whether two addresses are those of one server.
fn same(one: &str, other: &str) -> bool {
    one.trim_end_matches('/') == other.trim_end_matches('/')
}

/// A client of a server.
pub(super) fn client(address: &str, token: String) -> Result<Client, Failure> {
    Client::new(address, Credentials { token, tenant: None }).map_err(remote)
}

/// The server of a command that needs one.
pub(crate) fn needed(context: &Context) -> Result<Client, Failure> {
    needed_since(context, "this needs a server, and none is named")
}

/// The server of a command that needs one for a reason of its own.
fn needed_since(context: &Context, message: &str) -> Result<Client, Failure> {
    server(context)?.ok_or_else(|| {
        Failure::new(ErrorCode::Usage, message)
            .hint("give --server URL, or stella auth login --server URL once")
    })
}

/// Refuses a command that works on the store of this machine alone where commands go to a server: what
/// was meant for there must not be done here.
pub(crate) fn refuse_server(command: &str, context: &Context) -> Result<(), Failure> {
    let Some(client) = server(context)? else { return Ok(()) };
    let server = Safe(client.address()).to_string();
    let message = format!(
        "`stella {command}` works on the store of this machine, and commands go to {server}"
    );
    Err(Failure::new(ErrorCode::Usage, message)
        .hint("add --local if the store of this machine is meant"))
}

/// What an answer lists.
pub(super) fn items(listed: &Value) -> &[Value] {
    list(listed, "items")
}

/// A run of an answer.
pub(super) fn item(run: &Value) -> Item {
    let id = run["id"].as_str().unwrap_or_default().to_owned();
    Item { name: id.clone(), id, value: run.clone() }
}

/// A name in a path: what is no plain word names nothing.
pub(super) fn segment(what: &str, name: &str) -> Result<String, Failure> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    match !name.is_empty() && name.bytes().all(is_plain) && !name.starts_with('.') {
        true => Ok(name.to_owned()),
        false => {
            let message = format!("there is no {what} `{}`", Safe(name));
            Err(Failure::new(ErrorCode::NotFound, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_may_be_written_in_two_ways() {
        assert!(same("https://a.example", "https://a.example/"));
        assert!(!same("https://a.example", "https://b.example"));
    }
}
