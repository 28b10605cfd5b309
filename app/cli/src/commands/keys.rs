//! `keys`: the signing keys of the store.

use serde_json::json;
use stella_keys::{Existing, KeyEntry, KeyName, KeyStore, VARIABLES};
use stella_model::screen::Safe;
use stella_seal::PublicKey;

use super::Exit;
use crate::args::{Algorithm, GenerateArgs, ImportArgs, KeysCommand, PasswordArgs};
use crate::context::Context;
use crate::error::Failure;
use crate::output::{Column, Item, Page, Table};

/// Runs a verb of `keys`.
pub(crate) fn run(command: KeysCommand, context: &Context) -> Result<Exit, Failure> {
    let store = KeyStore::at(context.store.keys_dir());
    match command {
        KeysCommand::Generate(args) => generate(&args, &store, context),
        KeysCommand::Import(args) => import(&args, &store, context),
        KeysCommand::ExportPublic { name, dest } => {
            let key = store.choose(name.as_ref())?;
            let pem = key.public_key().to_pem();
            match dest {
                Some(path) => super::files::write_new(&path, pem.as_bytes())?,
                None => context.print(&Page::one("PublicKey", item(&key)).text(pem.trim_end()))?,
            }
            Ok(Exit::Done)
        }
        KeysCommand::List => list(&store, context),
    }
}

fn generate(args: &GenerateArgs, store: &KeyStore, context: &Context) -> Result<Exit, Failure> {
    let algorithm = match args.algorithm {
        Algorithm::EcdsaP256 => stella_seal::Algorithm::EcdsaP256Sha256,
        Algorithm::Ed25519 => stella_seal::Algorithm::Ed25519,
    };
    let existing = existing(args.replace);
    let key = store.generate(&args.name, algorithm, &args.password.source(), existing)?;
    warn_of_no_password(&args.password, context);
    show(&key, "made", context)
}

fn import(args: &ImportArgs, store: &KeyStore, context: &Context) -> Result<Exit, Failure> {
    let existing = existing(args.replace);
    let file = args.file.path();
    let key = store.import(&args.name, file, &args.password.source(), existing)?;
    warn_of_no_password(&args.password, context);
    show(&key, "imported", context)
}

/// An empty password is allowed, as cosign does, but nobody should have one unawares. A person who
/// is asked cannot give one.
fn warn_of_no_password(password: &PasswordArgs, context: &Context) {
    let is_empty = match &password.password_file {
        Some(path) => std::fs::read(path).is_ok_and(|bytes| bytes.trim_ascii_end().is_empty()),
        None => {
            let mut values = VARIABLES.iter().filter_map(std::env::var_os);
            values.next().is_some_and(|value| value.is_empty())
        }
    };
    if is_empty {
        context.warn("the password is empty: whoever can read the key file can sign with it");
    }
}

fn existing(replace: bool) -> Existing {
    if replace { Existing::Replace } else { Existing::Keep }
}

fn show(key: &KeyEntry, how: &str, context: &Context) -> Result<Exit, Failure> {
    let public = context.store.keys_dir().join(format!("{}.pub", key.name()));
    let public = public.to_string_lossy();
    let text = format!(
        "Key {} {how}: {}, SHA-256 of its public key {}\nPublic key: {}",
        key.name(),
        key.public_key().algorithm().as_str(),
        key.public_key().fingerprint(),
        Safe(&public),
    );
    context.print(&Page::one("Key", item(key)).text(text))?;
    context.hint(&format!(
        "Back up the key file beside it; without it and its password nothing can be signed as {}.\n\
         Next:  stella export run json:raw -d ./bundle --key {}",
        key.name(),
        key.name()
    ));
    Ok(Exit::Done)
}

fn list(store: &KeyStore, context: &Context) -> Result<Exit, Failure> {
    let keys = store.list()?;
    let table = table(keys.iter().map(|key| (key.name(), key.public_key())));
    let is_empty = keys.is_empty();
    context.print(&Page::list("KeyList", keys.iter().map(item).collect()).table(table))?;
    if is_empty {
        context.hint("No signing key yet. Make one:  stella keys generate release");
    }
    Ok(Exit::Done)
}

/// Public keys under their names, one's own and those of others.
pub(super) fn table<'a>(keys: impl Iterator<Item = (&'a KeyName, &'a PublicKey)>) -> Table {
    let mut table = Table::new([
        Column::new("NAME"),
        Column::new("ALGORITHM"),
        Column::new("HINT"),
        Column::new("FINGERPRINT").wide().shrinks(),
    ]);
    for (name, key) in keys {
        table.row([
            name.as_str().into(),
            key.algorithm().as_str().into(),
            key.hint8().into(),
            key.fingerprint().to_string().into(),
        ]);
    }
    table
}

fn item(key: &KeyEntry) -> Item {
    public_item(key.name(), key.public_key())
}

/// A public key under its name.
pub(super) fn public_item(name: &KeyName, key: &PublicKey) -> Item {
    let fingerprint = key.fingerprint().to_string();
    Item {
        name: name.to_string(),
        value: json!({
            "name": name.as_str(),
            "algorithm": key.algorithm().as_str(),
            "fingerprint": {"sha256": &fingerprint},
            "hint": key.hint(),
            "publicKey": key.to_pem(),
        }),
        id: fingerprint,
    }
}
