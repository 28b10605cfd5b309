//! Keys in tokens that a PKCS#11 module reaches.
//!
//! # Logins
//! A login holds for all sessions of a process with one token. So that nobody signs under the login
//! of another, one operation at a time goes to a module: it logs in, signs, and logs out again. A
//! wrong PIN is tried once: tokens lock themselves after a few.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::RawAuthPin;
use stella_model::{Digest, ErrorCode};
use stella_seal::{Algorithm, PublicKey};

use super::{Custodian, Fault, Refusal};
use crate::password::{PIN_FILE, Password, read_secret};
use crate::place::from_hex;
use crate::{Elsewhere, KeyName, PasswordSource, Pkcs11Place};

/// What stands before an uncompressed point in the `SubjectPublicKeyInfo` of a P-256 key.
const P256_SPKI: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// The same before an Ed25519 key (RFC 8410 §4).
const ED25519_SPKI: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A key in a token.
#[derive(Debug)]
pub(super) struct Token {
    name: KeyName,
    place: Pkcs11Place,
    pin: PasswordSource,
}

/// A loaded module. It stays loaded: unloading it would end the sessions of others.
type Module = Arc<Mutex<Pkcs11>>;

impl Token {
    pub(super) fn new(name: &KeyName, place: &Pkcs11Place, pin: &PasswordSource) -> Token {
        Token { name: name.clone(), place: place.clone(), pin: pin.clone() }
    }

    /// Does something in a session that is logged in, and ends it.
    fn logged_in<T>(&self, work: impl FnOnce(&Session) -> Result<T, Fault>) -> Result<T, Refusal> {
        let module = module(&self.place.module)?;
        // What another operation left behind when it panicked is closed with its session.
        let module = module.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = self.slot(&module)?;
        let pin = self.pin(&module, slot)?;
        let session = module.open_ro_session(slot).map_err(|error| fault(&error))?;
        let login = match &pin {
            Some(pin) => {
                let pin = RawAuthPin::new(Box::new(pin.as_bytes().to_vec()));
                session.login_with_raw(UserType::User, &pin)
            }
            None => session.login(UserType::User, None),
        };
        login.map_err(|error| fault(&error))?;
        let done = work(&session);
        // Closing the only session ends the login as well, where this fails.
        session.logout().ok();
        Ok(done?)
    }

    /// The slot with the token.
    fn slot(&self, module: &Pkcs11) -> Result<Slot, Fault> {
        let wanted = &self.place.token;
        let mut found = Vec::new();
        let mut others = Vec::new();
        for slot in module.get_slots_with_token().map_err(|error| fault(&error))? {
            // A token that was pulled out in this moment is none.
            let Ok(token) = module.get_token_info(slot) else { continue };
            match token.label().trim_end() {
                label if label == wanted => found.push(slot),
                "" => {}
                label => others.push(label.to_owned()),
            }
        }
        match found[..] {
            [slot] => Ok(slot),
            [] => Err(Fault::new(ErrorCode::NotFound, format!("there is no token {wanted}")).hint(
                match others.is_empty() {
                    true => "the module sees no token: check its configuration, and that the \
                             token is plugged in"
                        .to_owned(),
                    false => format!("tokens that the module sees: {}", others.join(", ")),
                },
            )),
            _ => Err(Fault::new(ErrorCode::Usage, format!("several tokens are called {wanted}"))
                .hint("give one of them another label")),
        }
    }

    /// The PIN, unless the token takes it at a keypad of its own.
    fn pin(&self, module: &Pkcs11, slot: Slot) -> Result<Option<Password>, Refusal> {
        let token = module.get_token_info(slot).map_err(|error| fault(&error))?;
        if token.protected_authentication_path() {
            return Ok(None);
        }
        let pin = match &self.place.pin_file {
            Some(file) => read_secret(PIN_FILE, file),
            None => self.pin.existing(self.name.as_str()),
        };
        pin.map(Some).map_err(Refusal::Secret)
    }

    /// The one object of a class under the label and id of the key.
    fn object(&self, session: &Session, class: ObjectClass) -> Result<ObjectHandle, Fault> {
        let half = if class == ObjectClass::PRIVATE_KEY { "secret" } else { "public" };
        let mut template = vec![Attribute::Class(class)];
        let label = self.place.label.as_ref();
        template.extend(label.map(|label| Attribute::Label(label.as_bytes().to_vec())));
        template.extend(self.place.id.as_deref().and_then(from_hex).map(Attribute::Id));
        let found = session.find_objects(&template).map_err(|error| fault(&error))?;
        match found[..] {
            [object] => Ok(object),
            [] => Err(Fault::new(
                ErrorCode::NotFound,
                format!("the token holds no {half} half of such a key"),
            )
            .hint("pkcs11-tool --module MODULE --login --list-objects shows what it holds")),
            _ => Err(Fault::new(
                ErrorCode::Usage,
                format!("the token holds several {half} halves that fit"),
            )
            .hint("name the key by label and id")),
        }
    }
}

impl Custodian for Token {
    fn find(&self) -> Result<(PublicKey, Elsewhere), Refusal> {
        let public = self.logged_in(|session| {
            let object = self.object(session, ObjectClass::PUBLIC_KEY)?;
            let wanted = [AttributeType::KeyType, AttributeType::EcPoint];
            let told = session.get_attributes(object, &wanted).map_err(|error| fault(&error))?;
            public_key(&told)
        })?;
        Ok((public, Elsewhere::Pkcs11(self.place.clone())))
    }

    fn sign(&self, message: &[u8], algorithm: Algorithm) -> Result<Vec<u8>, Refusal> {
        self.logged_in(|session| {
            let object = self.object(session, ObjectClass::PRIVATE_KEY)?;
            let signed = match algorithm {
                // Many tokens hash nothing themselves.
                Algorithm::EcdsaP256Sha256 => {
                    session.sign(&Mechanism::Ecdsa, object, Digest::of(message).as_bytes())
                }
                Algorithm::Ed25519 => {
                    let plain = EddsaParams::new(EddsaSignatureScheme::Ed25519);
                    session.sign(&Mechanism::Eddsa(plain), object, message)
                }
            };
            signed.map_err(|error| fault(&error))
        })
    }
}

/// The module of a path, loaded once in the life of the process.
fn module(path: &Path) -> Result<Module, Fault> {
    static MODULES: Mutex<BTreeMap<PathBuf, Module>> = Mutex::new(BTreeMap::new());
    let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = modules.get(path) {
        return Ok(module.clone());
    }
    if !path.is_file() {
        let said = format!("there is no PKCS#11 module {}", path.display());
        return Err(Fault::new(ErrorCode::NotFound, said)
            .hint("the package of the token's maker has it, often below /usr/lib"));
    }
    let loaded = Pkcs11::new(path).and_then(|module| {
        match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            // Another path to the same module.
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(module),
            Err(error) => Err(error),
        }
    });
    let refused = |error: Error| {
        let said = format!("{} cannot be used as a PKCS#11 module: {error}", path.display());
        Fault::new(ErrorCode::Invalid, said)
            .hint("it must be a module for this machine, and its configuration be readable")
    };
    let module: Module = Arc::new(Mutex::new(loaded.map_err(refused)?));
    modules.insert(path.to_owned(), module.clone());
    Ok(module)
}

/// The public key that attributes tell.
fn public_key(told: &[Attribute]) -> Result<PublicKey, Fault> {
    let kind = told.iter().find_map(|attribute| match attribute {
        Attribute::KeyType(kind) => Some(*kind),
        _ => None,
    });
    let point = told.iter().find_map(|attribute| match attribute {
        Attribute::EcPoint(point) => Some(point.as_slice()),
        _ => None,
    });
    let unusable = || {
        let said = "the key is neither ECDSA on P-256 nor Ed25519";
        Fault::new(ErrorCode::Invalid, said)
            .hint("make one, such as with pkcs11-tool --keypairgen --key-type EC:prime256v1")
    };
    // An OCTET STRING around the point; some tokens leave it away.
    let point = match point.ok_or_else(unusable)? {
        [0x04, length, point @ ..] if usize::from(*length) == point.len() => point,
        point => point,
    };
    let spki = match (kind, point.len()) {
        (Some(KeyType::EC), 65) => [&P256_SPKI[..], point].concat(),
        (Some(KeyType::EC_EDWARDS), 32) => [&ED25519_SPKI[..], point].concat(),
        _ => return Err(unusable()),
    };
    PublicKey::from_spki_der(&spki).map_err(|_| unusable())
}

/// What an error of a module means.
fn fault(error: &Error) -> Fault {
    let Error::Pkcs11(value, function) = error else {
        return Fault::new(ErrorCode::Io, format!("the module failed: {error}"));
    };
    let denied = |said: &str, hint: &str| Fault::new(ErrorCode::NotAllowed, said).hint(hint);
    match value {
        RvError::PinIncorrect | RvError::PinLenRange | RvError::PinInvalid => denied(
            "the token does not take the PIN",
            "check the PIN before the next try: tokens lock themselves after a few wrong ones",
        ),
        RvError::PinLocked => {
            denied("the PIN is locked", "the security officer of the token can unlock it")
        }
        RvError::PinExpired | RvError::UserPinNotInitialized => {
            denied("the PIN has expired or was never set", "set a new one with the token's tool")
        }
        RvError::KeyFunctionNotPermitted | RvError::UserNotLoggedIn => denied(
            "the token does not let this key sign",
            "the key needs the attribute CKA_SIGN, and must not ask for a PIN each time",
        ),
        RvError::MechanismInvalid | RvError::KeyTypeInconsistent => {
            let said = "the token does not sign with this kind of key as is needed here";
            Fault::new(ErrorCode::Invalid, said)
        }
        RvError::TokenNotPresent
        | RvError::DeviceRemoved
        | RvError::DeviceError
        | RvError::TokenNotRecognized
        | RvError::SessionCount => {
            Fault::new(ErrorCode::Unreachable, format!("the token does not answer: {value:?}"))
                .hint("check that it is plugged in and its service runs, then try again")
        }
        _ => Fault::new(ErrorCode::Io, format!("the module failed in {function}: {value:?}")),
    }
}
