//! Placing and reading back bundles in both carriers, and refusing what is no bundle.

use std::fs;
use std::io::Read as _;
use std::ops::ControlFlow;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use stella_carrier::{
    Bundle, Carrier, CarrierError, Existing, FileSpec, Outcome, Placed, Source, place,
};
use stella_model::{Digest, PartName};
use stella_testkit::temp_dir;
use stella_verify::BundleFiles;

const NAMES: [&str; 7] = [
    "export.json",
    "export.json.sig",
    "provenance.json",
    "signatures/audit.01234567.sigstore.json",
    "README.md",
    "data/raw/advisory/npm/p-000000000000000000000000.jsonl.zst",
    "trusted_root.json",
];

fn name(text: &str) -> PartName {
    PartName::new(text).expect("a part name")
}

fn specs(content: &[u8]) -> Vec<FileSpec<'_>> {
    NAMES.iter().map(|text| FileSpec::bytes(name(text), content)).collect()
}

fn put(
    carrier: Carrier,
    dest: &Path,
    files: &[FileSpec<'_>],
    existing: Existing,
) -> Result<Placed, CarrierError> {
    place(carrier, dest, files, existing, &mut |_| ControlFlow::Continue(()), &|_| Ok(()))
}

fn content(bundle: &Bundle, text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut file = BundleFiles::open(bundle, &name(text)).expect("opens");
    file.read_to_end(&mut bytes).expect("reads");
    bytes
}

fn leftovers(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).expect("lists").flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with('.')).collect()
}

#[test]
fn both_carriers_read_back_what_was_placed() {
    for carrier in [Carrier::Dir, Carrier::Tar] {
        for size in [0, 1, 511, 512, 513, 70_000] {
            let temp = temp_dir();
            let dest = temp.path().join("new/folder/bundle");
            let bytes = vec![7; size];
            let placed = put(carrier, &dest, &specs(&bytes), Existing::Refuse).expect("places");
            assert_eq!(placed.outcome, Outcome::Written);
            let bundle = Bundle::open(&dest).expect("opens");
            assert_eq!(bundle.faults(), []);
            let mut expected = NAMES;
            expected.sort_unstable();
            let found: Vec<_> = bundle.files().iter().map(|file| file.name.as_str()).collect();
            assert_eq!(found, expected);
            for text in NAMES {
                assert_eq!(bundle.entry(text).map(|entry| entry.size), Some(size as u64));
                assert_eq!(content(&bundle, text), bytes, "{carrier:?} {text}");
            }
            assert_eq!(leftovers(dest.parent().expect("a parent")), [""; 0]);
        }
    }
}

#[test]
fn the_same_bundle_is_left_alone_and_another_is_refused_unless_replaced() {
    for carrier in [Carrier::Dir, Carrier::Tar] {
        let temp = temp_dir();
        let dest = temp.path().join("bundle");
        put(carrier, &dest, &specs(b"one"), Existing::Refuse).expect("places");
        let inode = |path: &Path| fs::metadata(path).expect("is there").ino();
        let before = inode(&dest);
        for existing in [Existing::Refuse, Existing::Replace] {
            let again = put(carrier, &dest, &specs(b"one"), existing).expect("places");
            assert_eq!((again.outcome, inode(&dest)), (Outcome::Unchanged, before));
        }
        let refused = put(carrier, &dest, &specs(b"two"), Existing::Refuse);
        assert!(
            matches!(refused, Err(CarrierError::Conflict { replaceable: true, .. })),
            "{refused:?}"
        );
        assert_eq!(content(&Bundle::open(&dest).expect("opens"), "README.md"), b"one");
        let replaced = put(carrier, &dest, &specs(b"two"), Existing::Replace).expect("replaces");
        assert_eq!(replaced.outcome, Outcome::Replaced);
        assert_eq!(content(&Bundle::open(&dest).expect("opens"), "README.md"), b"two");
        assert_eq!(leftovers(temp.path()), [""; 0]);
    }
}

#[test]
fn a_damaged_bundle_differs_and_further_signatures_do_not_count() {
    let temp = temp_dir();
    let dest = temp.path().join("bundle");
    put(Carrier::Dir, &dest, &specs(b"one"), Existing::Refuse).expect("places");
    fs::write(dest.join("signatures/more.89abcdef.sigstore.json"), b"x").expect("writes");
    let again = put(Carrier::Dir, &dest, &specs(b"one"), Existing::Refuse).expect("places");
    assert_eq!(again.outcome, Outcome::Unchanged);
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 4] = [
        ("changed", |dest| fs::write(dest.join("README.md"), b"onE").expect("writes")),
        ("missing", |dest| fs::remove_file(dest.join("README.md")).expect("removes")),
        ("extra", |dest| fs::write(dest.join("data/extra"), b"x").expect("writes")),
        ("linked", |dest| symlink("README.md", dest.join("data/link")).expect("links")),
    ];
    for (what, damage) in damages {
        put(Carrier::Dir, &dest, &specs(b"one"), Existing::Replace).expect("repairs");
        damage(&dest);
        let refused = put(Carrier::Dir, &dest, &specs(b"one"), Existing::Refuse);
        assert!(matches!(refused, Err(CarrierError::Conflict { .. })), "{what}: {refused:?}");
    }
}

#[test]
fn what_is_no_bundle_is_never_replaced() {
    let temp = temp_dir();
    let home = temp.path().join("home");
    fs::create_dir(&home).expect("makes");
    put(Carrier::Dir, &home, &specs(b"x"), Existing::Refuse).expect("an empty folder is nothing");
    fs::write(home.join("thesis.txt"), b"years of work").expect("writes");
    let file = temp.path().join("notes");
    fs::write(&file, b"no tar at all").expect("writes");
    let link = temp.path().join("link");
    symlink(&home, &link).expect("links");
    for carrier in [Carrier::Dir, Carrier::Tar] {
        for dest in [&home, &file, &link] {
            let refused = put(carrier, dest, &specs(b"y"), Existing::Replace);
            let expected =
                matches!(refused, Err(CarrierError::Conflict { replaceable: false, .. }));
            assert!(expected, "{carrier:?} {dest:?} {refused:?}");
        }
    }
    assert_eq!(fs::read(home.join("thesis.txt")).expect("still there"), b"years of work");
}

#[test]
fn stopping_and_failing_leave_nothing_behind() {
    for carrier in [Carrier::Dir, Carrier::Tar] {
        let temp = temp_dir();
        let dest = temp.path().join("bundle");
        let mut left = 3;
        let stopped = place(
            carrier,
            &dest,
            &specs(b"x"),
            Existing::Refuse,
            &mut |_| {
                left -= 1;
                if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            },
            &|_| Ok(()),
        );
        assert!(matches!(stopped, Err(CarrierError::Stopped)));
        let mut files = specs(b"x");
        files[6].source = Source::File(temp.path().join("nowhere"));
        assert!(matches!(
            put(carrier, &dest, &files, Existing::Refuse),
            Err(CarrierError::Io { .. })
        ));
        fs::write(temp.path().join("short"), b"").expect("writes");
        files[6].source = Source::File(temp.path().join("short"));
        let wrong = put(carrier, &dest, &files, Existing::Refuse);
        assert!(matches!(wrong, Err(CarrierError::SourceSize { expected: 1, found: 0, .. })));
        fs::write(temp.path().join("short"), b"y").expect("writes");
        let damaged = put(carrier, &dest, &files, Existing::Refuse);
        assert!(matches!(damaged, Err(CarrierError::ReadBack { .. })), "{damaged:?}");
        files.swap(0, 1);
        assert!(matches!(
            put(carrier, &dest, &files, Existing::Refuse),
            Err(CarrierError::Order { .. })
        ));
        assert!(!dest.exists());
        assert_eq!(leftovers(temp.path()), [""; 0]);
    }
}

#[test]
fn partials_of_dead_runs_are_removed_and_those_of_living_ones_stay() {
    let temp = temp_dir();
    let dest = temp.path().join("bundle");
    fs::create_dir_all(temp.path().join(".bundle.partial-1-0/data")).expect("makes");
    fs::write(temp.path().join(".bundle.partial-1-1"), b"half a tar").expect("writes");
    fs::create_dir(temp.path().join(".bundle.partial-1-2")).expect("makes");
    fs::create_dir(temp.path().join(".other.partial-1-0")).expect("makes");
    // Opened to be read, a pipe waits for a writer, and a link leads out.
    let pipe = temp.path().join(".bundle.partial-1-3");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0)
        .expect("makes");
    symlink(&pipe, temp.path().join(".bundle.partial-1-4")).expect("links");
    let held = fs::File::open(temp.path().join(".bundle.partial-1-2")).expect("opens");
    held.lock().expect("locks");
    put(Carrier::Dir, &dest, &specs(b"x"), Existing::Refuse).expect("places");
    let mut left = leftovers(temp.path());
    left.sort();
    assert_eq!(
        left,
        [".bundle.partial-1-2", ".bundle.partial-1-3", ".bundle.partial-1-4", ".other.partial-1-0"]
    );
}

#[test]
fn files_are_linked_into_a_folder_and_copied_into_a_tar() {
    let temp = temp_dir();
    let blob = temp.path().join("blob");
    fs::write(&blob, b"blob").expect("writes");
    let mut files = specs(b"x");
    files[5].source = Source::File(blob.clone());
    (files[5].size, files[5].digest) = (4, Digest::of(b"blob"));
    let folder = temp.path().join("folder");
    assert_eq!(put(Carrier::Dir, &folder, &files, Existing::Refuse).expect("places").linked, 1);
    assert_eq!(fs::metadata(&blob).expect("is there").nlink(), 2);
    let tar = temp.path().join("tar");
    assert_eq!(put(Carrier::Tar, &tar, &files, Existing::Refuse).expect("places").linked, 0);
    for dest in [folder, tar] {
        assert_eq!(content(&Bundle::open(&dest).expect("opens"), NAMES[5]), b"blob");
    }
}

fn faults(path: &Path) -> Vec<String> {
    let bundle = Bundle::open(path).expect("opens");
    bundle.faults().iter().map(|fault| format!("{}: {}", fault.at, fault.problem)).collect()
}

#[test]
fn what_does_not_belong_into_a_folder_is_a_fault() {
    let temp = temp_dir();
    let root = temp.path().join("bundle");
    put(Carrier::Dir, &root, &specs(b"x"), Existing::Refuse).expect("places");
    symlink("/etc/passwd", root.join("data/link")).expect("links");
    symlink("/etc", root.join("data/folder")).expect("links");
    fs::write(root.join("Upper.json"), b"").expect("writes");
    fs::write(root.join("data/caf\u{e9}"), b"").expect("writes");
    fs::create_dir(root.join("data/empty")).expect("makes");
    fs::create_dir(root.join(".git")).expect("makes");
    let socket = std::os::unix::net::UnixListener::bind(root.join("socket")).expect("binds");
    drop(socket);
    let mut found = faults(&root);
    found.sort();
    assert_eq!(
        found,
        [
            ".git: the name is no part name",
            "Upper.json: the name is no part name",
            "data/caf\u{e9}: the name is no part name",
            "data/empty/: an empty folder",
            "data/folder: a symbolic link",
            "data/link: a symbolic link",
            "socket: neither a file nor a folder",
        ]
    );
}

#[test]
fn a_file_that_changes_its_kind_or_size_is_not_read() {
    let temp = temp_dir();
    let root = temp.path().join("bundle");
    put(Carrier::Dir, &root, &specs(b"x"), Existing::Refuse).expect("places");
    let bundle = Bundle::open(&root).expect("opens");
    fs::write(root.join("README.md"), b"longer").expect("writes");
    fs::remove_file(root.join("export.json")).expect("removes");
    symlink("/etc/passwd", root.join("export.json")).expect("links");
    fs::rename(root.join("data"), root.join("data-2")).expect("renames");
    symlink("data-2", root.join("data")).expect("links");
    for text in ["README.md", "export.json", NAMES[5], "nowhere"] {
        assert!(BundleFiles::open(&bundle, &name(text)).is_err(), "{text}");
    }
}

/// A tar in memory, changed, and opened again.
fn changed_tar(change: impl FnOnce(&mut Vec<u8>)) -> Vec<String> {
    let temp = temp_dir();
    let path = temp.path().join("tar");
    put(Carrier::Tar, &path, &specs(b"x"), Existing::Refuse).expect("places");
    let mut bytes = fs::read(&path).expect("reads");
    change(&mut bytes);
    fs::write(&path, bytes).expect("writes");
    faults(&path)
}

/// Makes the checksum of the header at `at` right again.
fn checksum(bytes: &mut [u8], at: usize) {
    bytes[at + 148..at + 156].copy_from_slice(b"        ");
    let sum: u32 = bytes[at..at + 512].iter().map(|byte| u32::from(*byte)).sum();
    bytes[at + 148..at + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

#[test]
fn a_tar_of_any_other_form_is_a_fault() {
    type Change = fn(&mut Vec<u8>);
    let changes: [(&str, Change); 20] = [
        ("mode", |tar| tar[104] = b'7'),
        ("owner", |tar| tar[110] = b'1'),
        ("time", |tar| tar[140] = b'1'),
        ("user name", |tar| tar[265] = b'r'),
        ("prefix", |tar| tar[345] = b'a'),
        ("magic of GNU", |tar| tar[257..265].copy_from_slice(b"ustar  \0")),
        ("old type flag", |tar| tar[156] = 0),
        ("hard link", |tar| tar[156] = b'1'),
        ("symbolic link", |tar| tar[156] = b'2'),
        ("device", |tar| tar[156] = b'3'),
        ("folder", |tar| tar[156] = b'5'),
        ("extended header", |tar| tar[156] = b'x'),
        ("way out", |tar| tar[..11].copy_from_slice(b"../port.jso")),
        ("size in base 256", |tar| tar[124] = 0x80),
        ("size beyond the end", |tar| tar[124..135].copy_from_slice(b"00000100000")),
        ("padding", |tar| tar[600] = 1),
        ("something after", |tar| tar.push(0)),
        ("one more block", |tar| tar.extend([0; 512])),
        ("cut short", |tar| tar.truncate(tar.len() - 512)),
        ("something after the first zero block", |tar| {
            let end = tar.len();
            tar[end - 1] = 1;
        }),
    ];
    for (what, change) in changes {
        let found = changed_tar(|tar| {
            change(tar);
            // Only the test of the checksum itself leaves it wrong.
            checksum(tar, 0);
        });
        assert!(!found.is_empty(), "{what}");
    }
    assert!(!changed_tar(|tar| tar[150] = b' ').is_empty(), "checksum");
    assert!(!changed_tar(|tar| tar.clear()).is_empty(), "an empty file");
    assert_eq!(changed_tar(|_| {}), [""; 0]);
}

#[test]
fn swapped_and_repeated_entries_are_faults() {
    let swapped = changed_tar(|tar| {
        let (first, rest) = tar.split_at_mut(1024);
        first.swap_with_slice(&mut rest[..1024]);
    });
    assert_eq!(swapped, ["export.json: out of order, or in the tar twice"]);
    let repeated = changed_tar(|tar| {
        let first = tar[..1024].to_vec();
        tar.splice(1024..1024, first);
    });
    assert_eq!(repeated, ["export.json: out of order, or in the tar twice"]);
}

#[test]
fn every_flipped_bit_outside_contents_is_seen() {
    let temp = temp_dir();
    let path = temp.path().join("tar");
    put(Carrier::Tar, &path, &specs(b"x"), Existing::Refuse).expect("places");
    let bytes = fs::read(&path).expect("reads");
    let changed = temp.path().join("changed");
    for at in (0..bytes.len()).filter(|at| at % 1024 != 512 || at / 1024 >= NAMES.len()).step_by(7)
    {
        let mut copy = bytes.clone();
        copy[at] ^= 1 << (at % 8);
        fs::write(&changed, copy).expect("writes");
        assert!(!faults(&changed).is_empty(), "{at}");
    }
}

#[test]
fn a_path_that_is_no_carrier_is_an_error() {
    let temp = temp_dir();
    let missing = Bundle::open(&temp.path().join("nowhere"));
    assert!(matches!(missing, Err(CarrierError::NotFound { .. })));
    let device = Bundle::open(Path::new("/dev/null"));
    assert!(matches!(device, Err(CarrierError::NotABundle { .. })));
    let odd = put(Carrier::Dir, &PathBuf::from(".."), &specs(b""), Existing::Refuse);
    assert!(matches!(odd, Err(CarrierError::Destination { .. })));
}

#[test]
fn what_is_found_wrong_when_it_is_read_back_never_gets_its_name() {
    for carrier in [Carrier::Dir, Carrier::Tar] {
        let temp = temp_dir();
        let dest = temp.path().join("bundle");
        let refuse = |written: &Bundle| {
            assert_eq!(written.files().len(), NAMES.len());
            assert!(!dest.exists(), "it is looked at before it has its name");
            Err("a signature is wrong".to_owned())
        };
        let go_on = &mut |_| ControlFlow::Continue(());
        let placed = place(carrier, &dest, &specs(b"x"), Existing::Refuse, go_on, &refuse);
        let is_refused = |error: &CarrierError| matches!(error, CarrierError::NotVerified { problem, .. } if problem == "a signature is wrong");
        assert!(placed.as_ref().is_err_and(is_refused), "{placed:?}");
        assert!(!dest.exists());
        assert_eq!(leftovers(temp.path()), Vec::<String>::new());
    }
}
