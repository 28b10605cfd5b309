//! From rows to the database, in the order of its file.

use std::io;

use super::collector::SHA1;
use super::{Collector, Contents, Reason, Table};
use crate::rows::code::damaged;
use crate::rows::{Sorter, Spool, merge};

/// Memory for the rows that are sorted by name, in bytes.
const NAMED: usize = 48 << 20;

/// Writes the rows of all collectors to a table. `spool` is for sorting them a second time.
///
/// The rows depend on the records alone, not on how they were spread over collectors (INV-DET).
/// Where several artifacts claim one SHA-1, a row without classifier wins over one with, then the
/// smallest of (group, artifact, version), bytewise.
///
/// # Errors
/// If a spool or the table fails.
pub fn assemble(
    collectors: Vec<Collector<'_>>,
    spool: &dyn Spool,
    table: &mut dyn Table,
) -> io::Result<Contents> {
    let mut contents = Contents::default();
    let mut sorters = Vec::new();
    for collector in collectors {
        for (reason, count) in collector.reasons {
            *contents.reasons.entry(reason).or_default() += count;
        }
        sorters.push(collector.rows);
    }
    let named = winners(sorters, spool, &mut contents)?;
    write(named, table, &mut contents)?;
    Ok(contents)
}

/// One row for each SHA-1, its key turned round: group, artifact and version, each ended by a zero
/// byte, then the SHA-1.
fn winners<'s>(
    sorters: Vec<Sorter<'_>>,
    spool: &'s dyn Spool,
    contents: &mut Contents,
) -> io::Result<Sorter<'s>> {
    let mut named = Sorter::new(spool, NAMED);
    let mut rows = merge(sorters)?;
    let (mut winner, mut last, mut key) = (Vec::new(), Vec::new(), Vec::new());
    let mut others = 0;
    while let Some((row, _)) = rows.next_row()? {
        if row == last {
            continue;
        }
        last.clear();
        last.extend_from_slice(row);
        let (sha1, name) = (&row[..SHA1], &row[SHA1 + 1..]);
        if winner.get(..SHA1) == Some(sha1) {
            others += u64::from(winner[SHA1 + 1..] != *name);
            continue;
        }
        winner.clear();
        winner.extend_from_slice(row);
        key.clear();
        key.extend_from_slice(name);
        key.extend_from_slice(sha1);
        named.push(&key, &[])?;
    }
    if others > 0 {
        *contents.reasons.entry(Reason::DuplicateSha1.as_str()).or_default() += others;
    }
    Ok(named)
}

fn write(named: Sorter<'_>, table: &mut dyn Table, contents: &mut Contents) -> io::Result<()> {
    let mut rows = merge(vec![named])?;
    let mut last: Option<(String, String)> = None;
    let mut id = 0_i64;
    while let Some((row, _)) = rows.next_row()? {
        let (name, sha1) = row.split_last_chunk::<SHA1>().ok_or_else(damaged)?;
        let name = std::str::from_utf8(name).map_err(|_| damaged())?;
        let mut parts = name.split_terminator('\0');
        let mut part = || parts.next().ok_or_else(damaged);
        let (group, artifact, version) = (part()?, part()?, part()?);
        if last.as_ref().is_none_or(|(g, a)| (g.as_str(), a.as_str()) != (group, artifact)) {
            id += 1;
            table.artifact(id, group, artifact)?;
            contents.artifacts += 1;
            last = Some((group.to_owned(), artifact.to_owned()));
        }
        table.jar(id, version, sha1)?;
        contents.jars += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use stella_model::Limits;
    use stella_records::Format;
    use stella_records::view::Evidence;

    use super::*;
    use crate::rows::memory::Memory;

    /// Rows as lines; fails at the line with this number.
    struct Listing(String, usize);

    impl Listing {
        fn line(&mut self, line: &str) -> io::Result<()> {
            if self.0.lines().count() == self.1 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            writeln!(self.0, "{line}").map_err(io::Error::other)
        }
    }

    impl Table for Listing {
        fn artifact(&mut self, id: i64, group: &str, artifact: &str) -> io::Result<()> {
            self.line(&format!("{id} {group}:{artifact}"))
        }

        fn jar(&mut self, artifact: i64, version: &str, sha1: &[u8; 20]) -> io::Result<()> {
            self.line(&format!("  {artifact} {version} {:02x}{:02x}", sha1[0], sha1[19]))
        }
    }

    /// A SHA-1 whose first and last byte are these.
    fn sha1(first: u8, last: u8) -> String {
        format!("{first:02x}{}{last:02x}", "ab".repeat(18))
    }

    /// A CycloneDX document of components (purl, SHA-1 or nothing).
    fn bom(components: &[(&str, &str)]) -> String {
        let component = |(purl, sha1): &(&str, &str)| {
            format!(
                r#"{{"purl":"{purl}","hashes":[{{"alg":"MD5","content":"00"}},{{"alg":"SHA-1","content":"{sha1}"}}]}}"#
            )
        };
        let components: Vec<String> = components.iter().map(component).collect();
        format!(r#"{{"bomFormat":"CycloneDX","components":[{}]}}"#, components.join(","))
    }

    fn run(documents: &[Vec<String>], limit: usize) -> io::Result<(String, Contents)> {
        let spools: Vec<Memory> = documents.iter().map(|_| Memory::default()).collect();
        let mut collectors = Vec::new();
        for (spool, documents) in spools.iter().zip(documents) {
            let mut collector = Collector::new(spool);
            for text in documents {
                let format = match text.contains("bomFormat") {
                    true => Format::CycloneDxJson,
                    false => Format::JarList,
                };
                let evidence = Evidence::open(format, text.as_bytes(), &Limits::DEFAULT);
                collector.record(&evidence.expect("a document")).expect("the spool writes");
            }
            collectors.push(collector);
        }
        let mut listing = Listing(String::new(), limit);
        let contents = assemble(collectors, &Memory::default(), &mut listing)?;
        Ok((listing.0, contents))
    }

    #[test]
    fn rows_are_sorted_by_name_and_every_jar_has_one() {
        let one = bom(&[
            ("pkg:maven/z.group/a@2", &sha1(1, 1)),
            ("pkg:maven/a.group/b@10?type=jar", &sha1(2, 2)),
            ("pkg:maven/a.group/b@10", &sha1(2, 2)),
            ("pkg:maven/a.group/b@10?type=war", &sha1(9, 9)),
            ("pkg:maven/a.group/b@1%2B2", &sha1(3, 3).to_uppercase()),
            ("pkg:npm/b@1", &sha1(4, 4)),
            ("pkg:maven/a.group/b@11", "abc"),
            ("pkg:maven/b@1", &sha1(5, 5)),
            ("pkg:maven/a.group/b", &sha1(5, 5)),
            ("pkg:maven/a.group/b@1?type=pom", &sha1(5, 5)),
            ("pkg:maven/a.group/b@1%00", &sha1(5, 5)),
        ]);
        let list = format!(
            r#"{{"sha1":"{}","groupID":"a","artifactID":"group.b","version":"1","file":"group.b-1-c.jar","size":7}}"#,
            sha1(6, 6)
        );
        let (listing, contents) = run(&[vec![one, list]], usize::MAX).expect("the table takes");
        assert_eq!(
            listing,
            "1 a:group.b\n  1 1 0606\n2 a.group:b\n  2 1+2 0303\n  2 10 0202\n  2 10 0909\n\
             3 z.group:a\n  3 2 0101\n"
        );
        let reasons = [
            ("no-group", 1),
            ("no-sha1", 1),
            ("no-usable-name", 1),
            ("no-version", 1),
            ("not-a-jar", 1),
        ];
        assert_eq!(contents, Contents { artifacts: 3, jars: 5, reasons: reasons.into() });
    }

    #[test]
    fn of_several_names_of_one_jar_the_one_without_classifier_then_the_smallest_counts() {
        let claims = [
            ("pkg:maven/a/a@1?classifier=all", sha1(1, 1)),
            ("pkg:maven/m/m@2", sha1(1, 1)),
            ("pkg:maven/m/m@1", sha1(1, 1)),
            ("pkg:maven/m/m@1?classifier=x", sha1(1, 1)),
            ("pkg:maven/only/c@1?classifier=y", sha1(2, 2)),
            ("pkg:maven/only/b@1?classifier=z", sha1(2, 2)),
        ];
        let document = |order: &[usize]| {
            let chosen: Vec<(&str, &str)> =
                order.iter().map(|i| (claims[*i].0, claims[*i].1.as_str())).collect();
            bom(&chosen)
        };
        let expected = "1 m:m\n  1 1 0101\n2 only:b\n  2 1 0202\n";
        for documents in [
            vec![vec![document(&[0, 1, 2, 3, 4, 5])]],
            vec![vec![document(&[5, 4, 3, 2, 1, 0])], vec![document(&[1, 4, 2])]],
            vec![vec![document(&[0]), document(&[2, 2])], vec![], vec![document(&[3, 5, 4, 1])]],
        ] {
            let (listing, contents) = run(&documents, usize::MAX).expect("the table takes");
            assert_eq!(listing, expected);
            assert_eq!(contents.reasons, [("duplicate-sha1", 3)].into());
        }
    }

    #[test]
    fn a_table_that_fails_is_an_error_and_no_rows_at_all_are_none() {
        let one = bom(&[("pkg:maven/g/a@1", &sha1(1, 1)), ("pkg:maven/g/b@1", &sha1(2, 2))]);
        for limit in 0..4 {
            assert!(run(&[vec![one.clone()]], limit).is_err(), "{limit}");
        }
        let (listing, contents) = run(&[vec![bom(&[])]], 0).expect("nothing to take");
        assert_eq!((listing.as_str(), contents), ("", Contents::default()));
    }

    #[test]
    fn the_subject_of_a_document_is_a_jar_too() {
        let document = format!(
            r#"{{"bomFormat":"CycloneDX","metadata":{{"component":{{"purl":"pkg:maven/g/own@1",
                "hashes":[{{"alg":"SHA-1","content":"{}"}}]}}}}}}"#,
            sha1(7, 7)
        );
        let (listing, _) = run(&[vec![document]], usize::MAX).expect("the table takes");
        assert_eq!(listing, "1 g:own\n  1 1 0707\n");
    }
}
