//! `keys`: the signing keys of the store.

use std::path::{Path, PathBuf};

use serde_json::json;
use stella_keys::{
    AwsKmsPlace, Elsewhere, Existing, KeyEntry, KeyName, KeyStore, PasswordSource, Pkcs11Place,
    Place, VARIABLES, VaultPlace,
};
use stella_model::ErrorCode;
use stella_model::screen::Safe;
use stella_seal::PublicKey;

use super::Exit;
use crate::args::{
    AddCommand, AddedArgs, Algorithm, GenerateArgs, ImportArgs, KeysCommand, PasswordArgs,
};
use crate::context::Context;
use crate::error::Failure;
use crate::output::{Column, Item, Page, Table};

/// Runs a verb of `keys`.
pub(crate) fn run(command: KeysCommand, context: &Context) -> Result<Exit, Failure> {
    let store = KeyStore::at(context.store.keys_dir());
    match command {
        KeysCommand::Generate(args) => generate(&args, &store, context),
        KeysCommand::Import(args) => import(&args, &store, context),
        KeysCommand::Add(command) => add(command, &store, context),
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

fn add(command: AddCommand, store: &KeyStore, context: &Context) -> Result<Exit, Failure> {
    let (AddedArgs { name, replace }, place, password) = place(command)?;
    let key = store.add(&name, &place, &password, existing(replace))?;
    show(&key, "added", context)
}

/// What a command says of a place, and where the PIN comes from if it takes one.
fn place(command: AddCommand) -> Result<(AddedArgs, Elsewhere, PasswordSource), Failure> {
    let optional = |path: Option<PathBuf>| path.as_deref().map(absolute).transpose();
    Ok(match command {
        AddCommand::Pkcs11(args) => {
            let place = Pkcs11Place {
                module: absolute(&args.module)?,
                token: args.token,
                label: args.label,
                id: args.id,
                pin_file: optional(args.pin_file)?,
            };
            (args.added, Elsewhere::Pkcs11(place), args.password.source())
        }
        AddCommand::AwsKms(args) => {
            let place = AwsKmsPlace {
                key: args.key_id,
                region: args.region,
                endpoint: args.endpoint,
                profile: args.profile,
                credentials_file: optional(args.credentials_file)?,
                timeout_seconds: None,
            };
            (args.added, Elsewhere::AwsKms(place), PasswordSource::Surroundings)
        }
        AddCommand::Vault(args) => {
            let place = VaultPlace {
                address: args.address,
                mount: args.mount,
                key: args.transit_key,
                version: args.key_version,
                namespace: args.namespace.filter(|name| !name.is_empty()),
                token_file: optional(args.token_file)?,
                timeout_seconds: None,
            };
            (args.added, Elsewhere::Vault(place), PasswordSource::Surroundings)
        }
    })
}

/// A path that is still the right one when the entry is read from another folder.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| {
        let failure = Failure::new(ErrorCode::Usage, "a path of the entry cannot be used");
        failure.because(&error).hint("give the whole path")
    })
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
    let mut text = format!(
        "Key {} {how}: {}, SHA-256 of its public key {}\nPublic key: {}",
        key.name(),
        key.public_key().algorithm().as_str(),
        key.public_key().fingerprint(),
        Safe(&public),
    );
    let name = key.name();
    let advice = match key.place() {
        Place::File => {
            format!(
                "Back up the key file beside it; without it and its password nothing can be signed \
                 as {name}."
            )
        }
        place => {
            text.push_str(&format!("\nLives in:   {}", Safe(&place.to_string())));
            format!(
                "It has signed once. Back up {name}.toml and the folder signatures beside it: a \
                 signature that is lost may not come out alike again."
            )
        }
    };
    context.print(&Page::one("Key", item(key)).text(text))?;
    context.hint(&format!("{advice}\nNext:  stella export run json:raw -d ./bundle --key {name}"));
    Ok(Exit::Done)
}

fn list(store: &KeyStore, context: &Context) -> Result<Exit, Failure> {
    let keys = store.list()?;
    let mut table = Table::new([
        Column::new("NAME"),
        Column::new("ALGORITHM"),
        Column::new("HINT"),
        Column::new("LIVES IN").shrinks(),
        Column::new("FINGERPRINT").wide().shrinks(),
    ]);
    for key in &keys {
        let public = key.public_key();
        table.row([
            key.name().as_str().into(),
            public.algorithm().as_str().into(),
            public.hint8().into(),
            key.place().to_string().into(),
            public.fingerprint().to_string().into(),
        ]);
    }
    let is_empty = keys.is_empty();
    context.print(&Page::list("KeyList", keys.iter().map(item).collect()).table(table))?;
    if is_empty {
        context.hint("No signing key yet. Make one:  stella keys generate release");
    }
    Ok(Exit::Done)
}

/// Public keys of others under their names.
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
    let mut item = public_item(key.name(), key.public_key());
    item.value["place"] = json!({"kind": key.place().kind(), "name": key.place().to_string()});
    item
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
