//! `trust`: the public keys whose signatures this store believes.

use serde_json::json;
use stella_keys::{TrustStore, TrustedKey};

use super::Exit;
use crate::args::TrustCommand;
use crate::context::Context;
use crate::error::Failure;
use crate::output::{Column, Item, Page, Table};

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
            context.confirm(&format!("stop believing the key {name}"))?;
            store.remove(&name)?;
            context.note(&format!("The key {name} is no longer believed."));
        }
    }
    Ok(Exit::Done)
}

fn list(store: &TrustStore, context: &Context) -> Result<(), Failure> {
    let keys = store.list()?;
    let columns = [
        Column::new("NAME"),
        Column::new("ALGORITHM"),
        Column::new("HINT"),
        Column::new("FINGERPRINT").wide().shrinks(),
    ];
    let mut table = Table::new(columns);
    for key in &keys {
        table.row([
            key.name.as_str().into(),
            key.key.algorithm().as_str().into(),
            key.key.hint8().into(),
            key.key.fingerprint().to_string().into(),
        ]);
    }
    let is_empty = keys.is_empty();
    context.print(&Page::list("TrustedKeyList", keys.iter().map(item).collect()).table(table))?;
    if is_empty {
        context.hint("No key is trusted yet. Add one:  stella trust add NAME key.pub");
    }
    Ok(())
}

fn item(key: &TrustedKey) -> Item {
    let fingerprint = key.key.fingerprint().to_string();
    Item {
        name: key.name.to_string(),
        value: json!({
            "name": key.name.as_str(),
            "algorithm": key.key.algorithm().as_str(),
            "fingerprint": {"sha256": &fingerprint},
            "hint": key.key.hint(),
            "publicKey": key.key.to_pem(),
        }),
        id: fingerprint,
    }
}
