//! `trust`: the public keys whose signatures this store believes.

use stella_keys::{TrustStore, TrustedKey};

use super::Exit;
use super::keys::{public_item, table};
use crate::args::TrustCommand;
use crate::context::Context;
use crate::error::Failure;
use crate::output::{Item, Page};

/// Runs a verb of `trust`.
pub(crate) fn run(command: TrustCommand, context: &Context) -> Result<Exit, Failure> {
    let store = TrustStore::at(context.store.trust_dir());
    match command {
        TrustCommand::Add { name, file } => {
            let key = store.add(&name, file.path())?;
            let text = format!(
                "Signatures of {} are believed from now on: {}, SHA-256 of the key {}",
                key.name,
                key.key.algorithm().as_str(),
                key.key.fingerprint()
            );
            context.print(&Page::one("TrustedKey", item(&key)).text(text))?;
            context.hint("Compare the digest with the one its owner tells you by another way.");
        }
        TrustCommand::List => list(&store, context)?,
        TrustCommand::Remove { name } => {
            store.check(&name)?;
            context.confirm(&format!("stop believing the key {name}"))?;
            store.remove(&name)?;
            context.note(&format!("The key {name} is no longer believed."));
        }
    }
    Ok(Exit::Done)
}

fn list(store: &TrustStore, context: &Context) -> Result<(), Failure> {
    let keys = store.list()?;
    let table = table(keys.iter().map(|key| (&key.name, &key.key)));
    let is_empty = keys.is_empty();
    context.print(&Page::list("TrustedKeyList", keys.iter().map(item).collect()).table(table))?;
    if is_empty {
        context.hint("No key is trusted yet. Add one:  stella trust add NAME key.pub");
    }
    Ok(())
}

fn item(key: &TrustedKey) -> Item {
    public_item(&key.name, &key.key)
}
