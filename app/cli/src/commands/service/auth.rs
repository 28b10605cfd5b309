//! `auth`: servers that are remembered, and who one is there.

use std::io::{self, Read as _};

use serde_json::json;
use stella_model::ErrorCode;
use stella_model::screen::Safe;

use super::super::report::text;
use super::super::{Exit, report};
use super::{TOKEN, client, needed, remote};
use crate::args::{AuthCommand, LoginArgs};
use crate::context::Context;
use crate::contexts::{Contexts, ServerContext};
use crate::error::Failure;
use crate::output::{Column, Item, Page, Table};

/// Longest token, in bytes.
const LONGEST_TOKEN: u64 = 8 << 10;

/// Runs a verb of `auth`.
pub(crate) fn run(command: AuthCommand, context: &Context) -> Result<Exit, Failure> {
    match command {
        AuthCommand::Login(args) => login(args, context)?,
        AuthCommand::Logout { name } => logout(name, context)?,
        AuthCommand::List => list(context)?,
        AuthCommand::Use { name, none } => choose(name.filter(|_| !none), context)?,
        AuthCommand::Whoami => whoami(context)?,
        AuthCommand::CanI { scope } => return can_i(&scope, context),
    }
    Ok(Exit::Done)
}

fn login(args: LoginArgs, context: &Context) -> Result<(), Failure> {
    let address = context.global.server.clone();
    let address = address.or_else(|| std::env::var("STELLA_SERVER").ok());
    let address = address.filter(|address| !address.is_empty()).ok_or_else(|| {
        Failure::new(ErrorCode::Usage, "no server is named").hint("give --server URL")
    })?;
    let token = token(&args)?;
    // Asked before anything is remembered.
    let me = client(&address, token.clone())?.get("ask who this is", "/me").map_err(remote)?;
    let mut contexts = Contexts::load()?;
    let server = address.trim_end_matches('/').to_owned();
    contexts.contexts.insert(args.name.clone(), ServerContext { server, token });
    contexts.current = Some(args.name.clone());
    contexts.save()?;
    let told = format!(
        "Logged in at {} as {}, tenant {}.",
        Safe(&address),
        text(&me, "name"),
        text(&me, "tenant")
    );
    let item = Item { name: args.name.clone(), id: args.name, value: me };
    context.print(&Page::one("Caller", item).text(told))?;
    context.hint("From now on commands go there; --local works on the store of this machine.");
    Ok(())
}

/// The token of a login: never from the command line itself, which others can read.
fn token(args: &LoginArgs) -> Result<String, Failure> {
    let mut text = String::new();
    if let Some(path) = &args.token_file {
        let read = std::fs::File::open(path)
            .and_then(|file| file.take(LONGEST_TOKEN).read_to_string(&mut text));
        read.map_err(|error| {
            let message = format!("cannot read the token in {}", path.display());
            Failure::new(ErrorCode::of_reading(error.kind()), message).because(&error)
        })?;
    } else if let Ok(given) = std::env::var(TOKEN) {
        text = given;
    } else {
        let read = io::stdin().lock().take(LONGEST_TOKEN).read_to_string(&mut text);
        read.map_err(|error| {
            Failure::new(ErrorCode::Io, "cannot read the token from standard input").because(&error)
        })?;
    }
    let token = text.lines().next().unwrap_or_default().trim();
    match !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(token.to_owned()),
        false => Err(Failure::new(ErrorCode::Usage, "there is no token on the first line")
            .hint(format!("give --token-file FILE, set {TOKEN}, or pipe the token in"))),
    }
}

fn no_such(name: &str) -> Failure {
    Failure::new(ErrorCode::NotFound, format!("no server is remembered as `{}`", Safe(name)))
        .hint("stella auth list shows them")
}

fn logout(name: Option<String>, context: &Context) -> Result<(), Failure> {
    let mut contexts = Contexts::load()?;
    let name = name.or_else(|| contexts.current.clone()).unwrap_or_default();
    if contexts.contexts.remove(&name).is_none() {
        return Err(no_such(&name));
    }
    if contexts.current.as_ref() == Some(&name) {
        contexts.current = None;
    }
    contexts.save()?;
    context.hint(&format!("{} is forgotten; its token is valid until it is revoked.", Safe(&name)));
    Ok(())
}

fn list(context: &Context) -> Result<(), Failure> {
    let contexts = Contexts::load()?;
    let mut table =
        Table::new([Column::new("NAME"), Column::new("SERVER").shrinks(), Column::new("CURRENT")]);
    let mut items = Vec::new();
    for (name, known) in &contexts.contexts {
        let is_current = contexts.current.as_ref() == Some(name);
        let current = if is_current { "yes" } else { "" };
        table.row([name.as_str().into(), known.server.as_str().into(), current.into()]);
        let value = json!({ "name": name, "server": known.server, "current": is_current });
        items.push(Item { name: name.clone(), id: name.clone(), value });
    }
    context.print(&Page::list("ServerList", items).table(table))
}

fn choose(name: Option<String>, context: &Context) -> Result<(), Failure> {
    let mut contexts = Contexts::load()?;
    if let Some(name) = &name
        && !contexts.contexts.contains_key(name)
    {
        return Err(no_such(name));
    }
    contexts.current = name;
    contexts.save()?;
    let told = contexts
        .current
        .as_deref()
        .map_or("the store of this machine".to_owned(), |name| Safe(name).to_string());
    context.hint(&format!("Commands go to {told} from now on."));
    Ok(())
}

fn whoami(context: &Context) -> Result<(), Failure> {
    let client = needed(context)?;
    let me = client.get("ask who this is", "/me").map_err(remote)?;
    let words = |member: &str| {
        let words =
            report::list(&me, member).iter().filter_map(|word| word.as_str()).collect::<Vec<_>>();
        Safe(&words.join(" ")).to_string()
    };
    let told = format!(
        "{}\n  server    {}\n  tenant    {}\n  roles     {}\n  scopes    {}",
        text(&me, "name"),
        Safe(client.address()),
        text(&me, "tenant"),
        words("roles"),
        words("scopes"),
    );
    let name = me["name"].as_str().unwrap_or_default().to_owned();
    context.print(&Page::one("Caller", Item { name: name.clone(), id: name, value: me }).text(told))
}

fn can_i(scope: &str, context: &Context) -> Result<Exit, Failure> {
    let me = needed(context)?.get("ask who this is", "/me").map_err(remote)?;
    let may = report::list(&me, "scopes").iter().any(|has| *has == scope);
    let item = Item {
        name: scope.to_owned(),
        id: scope.to_owned(),
        value: json!({ "scope": scope, "allowed": may }),
    };
    context.print(&Page::one("Permission", item).text(if may { "yes" } else { "no" }))?;
    Ok(if may { Exit::Done } else { Exit::With(ErrorCode::NotAllowed) })
}
