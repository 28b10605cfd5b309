//! `stella-peers [--list] [NAME…]`: fetches the peers, all or those named, and prints their versions.
#![expect(clippy::print_stdout, reason = "a program of the terminal: its output is what it is for")]

use anyhow::{Result, bail};
use stella_peers::{PEERS, Peer};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (flags, names): (Vec<&str>, Vec<&str>) =
        arguments.iter().map(String::as_str).partition(|argument| argument.starts_with('-'));
    for name in &names {
        if !PEERS.iter().any(|peer| peer.name == *name) {
            bail!("{name} is no peer: stella-peers --list shows them");
        }
    }
    let wanted = |peer: &&Peer| names.is_empty() || names.contains(&peer.name);
    let peers: Vec<&Peer> = PEERS.iter().filter(wanted).collect();
    match flags[..] {
        [] => stella_peers::install(&peers, &mut std::io::stdout()),
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
        _ => bail!("usage: stella-peers [--list] [NAME…]"),
    }
}
