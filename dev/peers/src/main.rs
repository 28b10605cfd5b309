//! `stella-peers [--all | --list] [NAME | NAME@VERSION…]`: fetches the peers, those that every run of
//! the tests needs, those named or all, and prints their versions.
#![expect(clippy::print_stdout, reason = "a program of the terminal: its output is what it is for")]

use anyhow::{Result, bail};
use stella_peers::{Fetched, PEERS, Peer};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (flags, names): (Vec<&str>, Vec<&str>) =
        arguments.iter().map(String::as_str).partition(|argument| argument.starts_with('-'));
    let is_named = |peer: &Peer, name: &str| match name.split_once('@') {
        Some((name, version)) => (peer.name, peer.version) == (name, version),
        None => peer.name == name,
    };
    for name in &names {
        if !PEERS.iter().any(|peer| is_named(peer, name)) {
            bail!("{name} is no peer: stella-peers --list shows them");
        }
    }
    let everything = !flags.is_empty();
    let wanted = |peer: &&Peer| match names[..] {
        [] => everything || peer.fetched == Fetched::Always,
        _ => names.iter().any(|name| is_named(peer, name)),
    };
    let peers: Vec<&Peer> = PEERS.iter().filter(wanted).collect();
    match flags[..] {
        [] | ["--all"] => stella_peers::install(&peers, &mut std::io::stdout()),
        ["--list"] => {
            for peer in peers {
                let place = peer.installed();
                println!(
                    "{peer}: {}",
                    place.map_or("missing".into(), |path| path.display().to_string())
                );
            }
            Ok(())
        }
        _ => bail!("usage: stella-peers [--all | --list] [NAME | NAME@VERSION…]"),
    }
}
