//! Registries as Trivy meets them: without TLS elsewhere than on the loopback, with the artifact in an
//! index, and with other tags than it asks for.

mod support;
mod trivy;

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use support::Stella;
use trivy::{Registry, Scan, System, Trivy, advised, export, run, sbom, systems, write};

/// A bundle, an SBOM with something planted, and how many findings it has.
struct Site {
    stella: Stella,
    bundle: PathBuf,
    sbom: PathBuf,
    planted: Vec<String>,
}

impl Site {
    fn new() -> Site {
        let stella = advised();
        let bundle = export(&stella, "bundle", &[]);
        let is_debian = |system: &Option<System>| {
            system
                .as_ref()
                .is_some_and(|system| system.name == "debian" && system.version == "12.2")
        };
        let found = systems().into_iter().find(|(system, _)| is_debian(system));
        let (system, rows) = found.expect("Debian is planted");
        let sbom = write(&stella.path("debian.cdx.json"), &sbom(system.as_ref(), &rows));
        let planted = rows.into_iter().map(|row| row.id).collect();
        Site { stella, bundle, sbom, planted }
    }

    /// The digest of the artifact, its media type and its size.
    fn manifest(&self) -> (String, String, u64) {
        let index = fs::read(self.bundle.join("trivy/oci/index.json")).expect("an index");
        let index: Value = serde_json::from_slice(&index).expect("JSON");
        let entry = &index["manifests"][0];
        let text = |name: &str| entry[name].as_str().expect("a text").to_owned();
        (text("digest"), text("mediaType"), entry["size"].as_u64().expect("a number"))
    }

    /// Copies the artifact to a registry without TLS under a tag.
    fn push(&self, oras: &Path, repository: &str, tag: &str) {
        let home = self.stella.path("home");
        let oras = oras.display();
        let command = format!(
            "{oras} cp --from-oci-layout --to-plain-http trivy/oci:db-2 {repository}:{tag}"
        );
        run(&command, &self.bundle, &[("HOME", &home)]);
    }

    /// Pulls a database into a cache folder of its own and scans with it.
    fn pull(&self, trivy: &Trivy, reference: &str, more: &[&str]) -> Scan {
        let name = format!("cache-{}-{reference}-{}", trivy.version, more.join(""));
        let cache = self.stella.path(&name.replace([':', '/', '@'], "_"));
        let mut command = trivy.command(Command::new(&trivy.program), &self.stella.path("."));
        command.args(trivy.arguments(&cache, &self.sbom));
        Scan::run(command.args(["--db-repository", reference]).args(more))
    }

    /// Fails unless the scan found what is planted.
    fn found(&self, trivy: &Trivy, what: &str, scan: &Scan) {
        assert_eq!(scan.code, Some(0), "Trivy {}, {what}: {}", trivy.version, scan.stderr);
        for id in &self.planted {
            let is_found = scan.findings.iter().any(|finding| finding.id == *id);
            assert!(is_found, "Trivy {}, {what}: {id} is not found", trivy.version);
        }
    }
}

/// An address of this machine that others could reach; nothing where it has no network.
fn own_address() -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // Sends nothing: the system only chooses the address that would be used.
    socket.connect((Ipv4Addr::new(198, 51, 100, 1), 9)).ok()?;
    match socket.local_addr().ok()?.ip() {
        std::net::IpAddr::V4(address) if !address.is_loopback() => Some(address),
        _ => None,
    }
}

#[test]
fn peer_wants_insecure_for_a_registry_without_tls_off_the_loopback() {
    let Some(oras) = stella_peers::program("oras", "1.2.0") else { return };
    let Some(program) = stella_peers::program("docker-registry", "2.8.2") else { return };
    let site = Site::new();
    // Trivy takes this one for any other address, and it is on every machine.
    let mut hosts = vec![Ipv4Addr::new(127, 0, 0, 2)];
    hosts.extend(own_address());
    for host in hosts {
        let folder = site.stella.path(&format!("registry-{host}"));
        fs::create_dir(&folder).expect("a folder");
        let registry = Registry::start_at(host, &program, &folder);
        let repository = format!("{}/security/trivy-db", registry.address());
        site.push(&oras, &repository, "2");
        for trivy in Trivy::all() {
            let plain = site.pull(&trivy, &repository, &[]);
            if host.is_private() {
                // Of private networks Trivy believes that they need no TLS.
                site.found(&trivy, &repository, &plain);
            } else {
                assert_eq!(plain.code, Some(1), "Trivy {}, {repository}", trivy.version);
                assert!(
                    plain.stderr.contains("server gave HTTP response to HTTPS client"),
                    "Trivy {}, {repository}: {}",
                    trivy.version,
                    plain.stderr
                );
            }
            let insecure = site.pull(&trivy, &repository, &["--insecure"]);
            site.found(&trivy, &format!("{repository} --insecure"), &insecure);
        }
    }
}

#[test]
fn peer_takes_the_artifact_from_an_index_and_by_the_tag_of_the_schema_alone() {
    let Some(oras) = stella_peers::program("oras", "1.2.0") else { return };
    let Some(program) = stella_peers::program("docker-registry", "2.8.2") else { return };
    let site = Site::new();
    let registry = Registry::start(&program, &site.stella.path("."));
    let repository = format!("{}/security/trivy-db", registry.address());
    site.push(&oras, &repository, "latest");
    let (digest, media_type, size) = site.manifest();
    let entry = json!({"mediaType": media_type, "digest": digest, "size": size});
    let mut platform = entry.clone();
    platform["platform"] = json!({"os": "linux", "architecture": "amd64"});
    let index = "application/vnd.oci.image.index.v1+json";
    for (tag, entry) in [("index", entry), ("index-of-platforms", platform)] {
        let path = site.stella.path(&format!("{tag}.json"));
        write(&path, &json!({"schemaVersion": 2, "mediaType": index, "manifests": [entry]}));
        let (oras, path) = (oras.display(), path.display());
        let push = format!("{oras} manifest push --plain-http {repository}:{tag} {path}");
        run(&push, &site.bundle, &[("HOME", &site.stella.path("home"))]);
    }
    for trivy in Trivy::all() {
        for tag in ["latest", "index", "index-of-platforms"] {
            let scan = site.pull(&trivy, &format!("{repository}:{tag}"), &[]);
            site.found(&trivy, tag, &scan);
        }
        // Without a tag it asks for that of the schema, which nobody pushed, and for no other.
        let untagged = site.pull(&trivy, &repository, &[]);
        assert_eq!(untagged.code, Some(1), "Trivy {}: {}", trivy.version, untagged.stderr);
        assert_eq!(untagged.findings, [], "Trivy {}", trivy.version);
    }
}
