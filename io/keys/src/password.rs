//! Where the password of a key comes from: a file, a variable, or a person at a terminal.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::KeysError;
use crate::files::read_bytes;

/// Variables that may hold the password, the first that is set wins. The second is cosign's.
pub const VARIABLES: [&str; 2] = ["STELLA_KEY_PASSWORD", "COSIGN_PASSWORD"];

/// What a file with a password is called.
pub(crate) const PASSWORD_FILE: &str = "the password file";

/// What the files are called that entries name.
pub(crate) const PIN_FILE: &str = "the file of the PIN";
pub(crate) const TOKEN_FILE: &str = "the file of the token";

/// A password. Wiped when dropped; never printed.
#[derive(Clone)]
pub struct Password(Zeroizing<Vec<u8>>);

impl Password {
    /// Takes the bytes as they are.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Password {
        Password(Zeroizing::new(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Where to get the password of a key. Nothing is read before it is needed.
#[derive(Debug, Clone, Default)]
pub enum PasswordSource {
    /// A variable of [`VARIABLES`], else the terminal, if there is one.
    #[default]
    Surroundings,
    /// A variable of [`VARIABLES`] alone: for services, where nobody is at the terminal, also where
    /// there is one.
    Variables,
    /// A file; one line end at its end is not part of the password.
    File(PathBuf),
    /// A password that the program itself holds.
    Given(Password),
}

impl PasswordSource {
    /// Looks whether the password can be got at all: a mistyped file is told even where a kept
    /// signature makes the password needless.
    ///
    /// # Errors
    /// [`KeysError::Read`] if it is to come from a file that is not there.
    pub fn check(&self) -> Result<(), KeysError> {
        let PasswordSource::File(path) = self else { return Ok(()) };
        match std::fs::metadata(path) {
            Ok(_) => Ok(()),
            Err(source) => Err(KeysError::Read { what: PASSWORD_FILE, path: path.clone(), source }),
        }
    }

    /// The password of an existing key.
    ///
    /// # Errors
    /// [`KeysError::NoPassword`] if nothing is set and nobody can be asked;
    /// [`KeysError::Read`] and [`KeysError::Prompt`].
    pub fn existing(&self, key: &str) -> Result<Password, KeysError> {
        self.get(key, &Process, |prompt| prompt(&format!("Password of the key {key}: ")))
    }

    /// The password of a new key: a person enters it twice and not empty.
    ///
    /// # Errors
    /// As [`existing`](Self::existing), and [`KeysError::NewPassword`].
    pub fn new_password(&self, key: &str) -> Result<Password, KeysError> {
        self.get(key, &Process, |prompt| ask_twice(key, prompt))
    }

    fn get(
        &self,
        key: &str,
        surroundings: &dyn Surroundings,
        ask: impl FnOnce(&Prompt<'_>) -> Result<Password, KeysError>,
    ) -> Result<Password, KeysError> {
        match self {
            PasswordSource::Given(password) => Ok(password.clone()),
            PasswordSource::File(path) => read_secret(PASSWORD_FILE, path),
            PasswordSource::Surroundings | PasswordSource::Variables => {
                if let Some(value) = VARIABLES.iter().find_map(|name| surroundings.variable(name)) {
                    return Ok(Password::new(value.into_encoded_bytes()));
                }
                if matches!(self, PasswordSource::Variables) || !surroundings.terminal() {
                    return Err(KeysError::NoPassword { name: key.to_owned() });
                }
                ask(&|text| {
                    surroundings
                        .prompt(text)
                        .map(|entered| Password::new(entered.into_bytes()))
                        .map_err(|source| KeysError::Prompt { name: key.to_owned(), source })
                })
            }
        }
    }
}

/// Reads a file with a secret; one line end at its end is not part of it.
pub(crate) fn read_secret(what: &'static str, path: &Path) -> Result<Password, KeysError> {
    let mut bytes = read_bytes(what, path)?;
    let end = bytes
        .strip_suffix(b"\n")
        .map_or(bytes.len(), |rest| rest.strip_suffix(b"\r").unwrap_or(rest).len());
    bytes.truncate(end);
    Ok(Password(bytes))
}

type Prompt<'a> = dyn Fn(&str) -> Result<Password, KeysError> + 'a;

fn ask_twice(key: &str, prompt: &Prompt<'_>) -> Result<Password, KeysError> {
    let refused = |fault| KeysError::NewPassword { name: key.to_owned(), fault };
    let password = prompt(&format!("New password of the key {key}: "))?;
    if password.as_bytes().is_empty() {
        return Err(refused("it is empty"));
    }
    let again = prompt("The same password again: ")?;
    if again.as_bytes() == password.as_bytes() {
        Ok(password)
    } else {
        Err(refused("the two entries differ"))
    }
}

/// What the process is surrounded by; replaced in tests.
trait Surroundings {
    fn variable(&self, name: &str) -> Option<OsString>;
    fn terminal(&self) -> bool;
    fn prompt(&self, text: &str) -> io::Result<String>;
}

struct Process;

impl Surroundings for Process {
    fn variable(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    fn terminal(&self) -> bool {
        io::stdin().is_terminal()
    }

    fn prompt(&self, text: &str) -> io::Result<String> {
        rpassword::prompt_password(text)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// Variables that are set, and what a person types; no terminal if nothing.
    struct Fake {
        variables: Vec<(&'static str, &'static str)>,
        typed: Option<RefCell<Vec<&'static str>>>,
    }

    impl Surroundings for Fake {
        fn variable(&self, name: &str) -> Option<OsString> {
            let found = self.variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| value.into())
        }

        fn terminal(&self) -> bool {
            self.typed.is_some()
        }

        fn prompt(&self, _text: &str) -> io::Result<String> {
            let mut typed = self.typed.as_ref().expect("a terminal").borrow_mut();
            if typed.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok(typed.remove(0).to_owned())
        }
    }

    fn get(
        variables: &[(&'static str, &'static str)],
        typed: Option<&[&'static str]>,
        new: bool,
    ) -> Result<String, String> {
        let typed = typed.map(|typed| RefCell::new(typed.to_vec()));
        let fake = Fake { variables: variables.to_vec(), typed };
        PasswordSource::Surroundings
            .get("k", &fake, |prompt| if new { ask_twice("k", prompt) } else { prompt("?") })
            .map(|password| String::from_utf8(password.as_bytes().to_vec()).expect("text"))
            .map_err(|error| format!("{} {error}", error.code().exit_code()))
    }

    #[test]
    fn variables_come_before_the_terminal_and_ours_before_cosigns() {
        let both = [("COSIGN_PASSWORD", "theirs"), ("STELLA_KEY_PASSWORD", "ours")];
        assert_eq!(get(&both, None, false).as_deref(), Ok("ours"));
        assert_eq!(get(&both[..1], Some(&["typed"]), true).as_deref(), Ok("theirs"));
        assert_eq!(get(&[("STELLA_KEY_PASSWORD", "")], None, true).as_deref(), Ok(""));
        assert_eq!(get(&[], Some(&["typed"]), false).as_deref(), Ok("typed"));
        assert_eq!(get(&[], None, false), Err("2 the key k needs a password".into()));
    }

    #[test]
    fn a_service_asks_nobody() {
        let typed = Some(RefCell::new(vec!["typed"]));
        let fake = Fake { variables: Vec::new(), typed };
        let asked = PasswordSource::Variables.get("k", &fake, |prompt| prompt("?"));
        assert!(matches!(asked, Err(KeysError::NoPassword { .. })));
        let fake = Fake { variables: vec![("STELLA_KEY_PASSWORD", "ours")], ..fake };
        let told = PasswordSource::Variables.get("k", &fake, |prompt| prompt("?"));
        assert_eq!(told.expect("is set").as_bytes(), b"ours");
    }

    #[test]
    fn a_new_password_is_entered_twice_and_not_empty() {
        assert_eq!(get(&[], Some(&["a", "a"]), true).as_deref(), Ok("a"));
        let refused = "2 no password was set for the key k:";
        assert_eq!(
            get(&[], Some(&["a", "b"]), true),
            Err(format!("{refused} the two entries differ"))
        );
        assert_eq!(get(&[], Some(&["", ""]), true), Err(format!("{refused} it is empty")));
        let cut = get(&[], Some(&["a"]), true);
        assert_eq!(cut, Err("1 cannot ask for the password of the key k".into()));
    }

    #[test]
    fn one_line_end_of_a_password_file_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let cases: [(&[u8], &[u8]); 7] = [
            (b"secret\n", b"secret"),
            (b"secret\r\n", b"secret"),
            (b"secret", b"secret"),
            (b"secret \n\n", b"secret \n"),
            (b"secret\r", b"secret\r"),
            (b"", b""),
            (b"\xff\0\n", b"\xff\0"),
        ];
        for (content, expected) in cases {
            std::fs::write(&path, content).unwrap();
            let password = PasswordSource::File(path.clone()).existing("k").unwrap();
            assert_eq!(password.as_bytes(), expected);
        }
        std::fs::write(&path, vec![b'x'; 1 << 20]).unwrap();
        let error = PasswordSource::File(path).existing("k").unwrap_err();
        assert_eq!(error.code().exit_code(), 2);
        let missing = PasswordSource::File(folder.path().join("none")).existing("k").unwrap_err();
        assert_eq!(missing.code().exit_code(), 3);
    }
}
