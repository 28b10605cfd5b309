//! What the views and facets read out of small documents of every format.

use stella_model::Limits;
use stella_records::view::{Evidence, Status};
use stella_records::{Draft, Recognised, recognise};

fn draft(document: &str) -> Draft {
    match recognise("x", document.as_bytes(), &Limits::DEFAULT) {
        Ok(Recognised::Records(mut drafts)) if !drafts.is_empty() => drafts.remove(0),
        other => panic!("{document}: {other:?}"),
    }
}

#[track_caller]
fn facets(document: &str, expected: &str) {
    let facets = serde_json::to_string(&draft(document).facets).expect("facets serialize");
    assert_eq!(facets, expected, "{document}");
}

#[test]
fn facets_of_osv() {
    facets(
        r#"{"schema_version":"1.0","id":"GHSA-1","modified":"2024-01-01","withdrawn":"2024-02-01T00:00:00+01:00",
            "aliases":["CVE-1","CVE-1"],"upstream":["CVE-2"],"related":["CVE-3","GHSA-9"],
            "severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
            "database_specific":{"severity":"MODERATE"},
            "affected":[{"package":{"ecosystem":"npm","name":"@a/b","purl":"pkg:npm/%40a/b"}},
                        {"package":{"ecosystem":"npm","name":"@a/b","purl":"pkg:npm/%40a/b@1"}},
                        {"package":{"ecosystem":"AlmaLinux:8","name":"curl"}},{}]}"#,
        r#"{"withdrawn":"2024-01-31T23:00:00Z","severity":"medium","ids":["CVE-1","CVE-2","CVE-3","GHSA-1"],"ecosystems":["AlmaLinux:8","npm"],"packages":["AlmaLinux:8/curl","pkg:npm/%40a/b"]}"#,
    );
    // The worst vector where there is no label; unknown scales tell nothing.
    facets(
        r#"{"schema_version":"1.0","id":"A","modified":"2024-01-01","severity":[{"type":"CVSS_V2","score":"AV:N/AC:L/Au:N/C:P/I:P/A:P"},
            {"type":"CVSS_V3","score":"CVSS:3.1/AV:P/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N"},
            {"type":"CVSS_V4","score":"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"}]}"#,
        r#"{"severity":"critical","ids":["A"]}"#,
    );
    facets(
        r#"{"schema_version":"1.0","id":"A","modified":"2024-01-01","database_specific":{"severity":"odd"},
            "affected":[{"ecosystem_specific":{"severity":"HIGH"}},{"database_specific":{"severity":"low"}}]}"#,
        r#"{"severity":"high","ids":["A"]}"#,
    );
    // Members of other shapes count as absent.
    facets(
        r#"{"schema_version":"1.0","id":"A","modified":"2024-01-01","aliases":"CVE-1","affected":[{"package":["x"]}],"severity":{},"withdrawn":true}"#,
        r#"{"ids":["A"]}"#,
    );
}

const CSAF: &str = r#"{"document":{"category":"csaf_vex","csaf_version":"2.0","title":"T","publisher":{"namespace":"n"},
  "aggregate_severity":{"text":"Important"},
  "tracking":{"id":"RHSA-1","aliases":["OLD-1"],"current_release_date":"2024-01-01","initial_release_date":"2023-01-01","version":"2"}},
  "product_tree":{"branches":[{"branches":[{"product":{"product_id":"P1","product_identification_helper":{"purl":"pkg:rpm/redhat/a@1?arch=src"}}}]},
                              {"product":{"product_id":"P2"}}],
    "full_product_names":[{"product_id":"P3","product_identification_helper":{"purl":"pkg:npm/c@1"}}],
    "relationships":[{"product_reference":"P1","full_product_name":{"product_id":"R1"}}]},
  "vulnerabilities":[{"cve":"CVE-1","ids":[{"text":"BUG-1"}],
    "product_status":{"known_not_affected":["R1","P2"],"fixed":["P3"]},
    "flags":[{"label":"vulnerable_code_not_present","product_ids":["R1"]}],
    "scores":[{"cvss_v3":{"baseScore":5.0}},{"cvss_v3":{"baseSeverity":"CRITICAL","baseScore":1}}]}]}"#;

#[test]
fn csaf_is_an_advisory_and_a_vex() {
    facets(
        CSAF,
        r#"{"severity":"critical","ids":["BUG-1","CVE-1","OLD-1","RHSA-1","n#RHSA-1"],"ecosystems":["Red Hat","npm"],"packages":["pkg:npm/c","pkg:rpm/redhat/a"]}"#,
    );
    let draft = draft(CSAF);
    let evidence = Evidence::open(draft.format, &draft.content, &Limits::DEFAULT).expect("valid");
    let advisory = evidence.advisory().expect("CSAF is an advisory");
    assert_eq!(advisory.id().as_deref(), Some("RHSA-1"));
    assert_eq!(advisory.title().as_deref(), Some("T"));
    assert_eq!(
        advisory.published().map(|t| t.to_string()).as_deref(),
        Some("2023-01-01T00:00:00Z")
    );

    let listing = statements(&evidence);
    assert_eq!(
        listing,
        [
            "CVE-1 BUG-1 NotAffected - [P2 -]",
            "CVE-1 BUG-1 NotAffected vulnerable_code_not_present [R1 pkg:rpm/redhat/a@1?arch=src]",
            "CVE-1 BUG-1 Fixed - [P3 pkg:npm/c@1]",
        ]
    );
}

#[test]
fn openvex_of_both_shapes() {
    let document = r#"{"@context":"https://openvex.dev/ns/v0.2.0","@id":"v","statements":[
      {"vulnerability":{"@id":"u","name":"CVE-1","aliases":["GHSA-1"]},"status":"not_affected","justification":"component_not_present",
       "products":[{"@id":"pkg:oci/i@sha256%3A1","subcomponents":[{"@id":"pkg:golang/g.org/m@v1"},{"@id":"other"}]},
                   {"identifiers":{"purl":"pkg:npm/x@1"}}]},
      {"vulnerability":"CVE-2","status":"odd","products":["pkg:npm/y@2","plain"]}]}"#;
    let id = draft(document).id;
    facets(
        document,
        &format!(
            r#"{{"ids":["CVE-1","CVE-2","GHSA-1","{id}"],"ecosystems":["Go","npm"],"packages":["pkg:golang/g.org/m","pkg:npm/x","pkg:npm/y","pkg:oci/i"]}}"#
        ),
    );
    let evidence_of = draft(document);
    let evidence =
        Evidence::open(evidence_of.format, &evidence_of.content, &Limits::DEFAULT).expect("valid");
    assert_eq!(
        statements(&evidence),
        [
            "CVE-1 GHSA-1 NotAffected component_not_present [pkg:oci/i@sha256%3A1 pkg:oci/i@sha256%3A1 +pkg:golang/g.org/m@v1, pkg:npm/x@1 pkg:npm/x@1]",
            "CVE-2  - - [pkg:npm/y@2 pkg:npm/y@2, plain -]",
        ]
    );
}

#[test]
fn cyclonedx_says_the_same_in_json_and_xml() {
    let json = r#"{"bomFormat":"CycloneDX","specVersion":"1.4","serialNumber":"s",
      "metadata":{"timestamp":"2024-01-01","component":{"bom-ref":"m","group":"g","name":"main","version":"1","purl":"pkg:maven/g/main@1"}},
      "components":[{"bom-ref":"c","name":"c","version":"2","purl":"pkg:npm/c@2"},{"name":"d"}],
      "vulnerabilities":[{"id":"CVE-1","ratings":[{"severity":"low"},{"severity":"high"}],
        "analysis":{"state":"exploitable","justification":"code_not_reachable"},"affects":[{"ref":"c"},{"ref":"pkg:npm/z@1"},{"ref":"?"}]}]}"#;
    let xml = r#"<bom xmlns="http://cyclonedx.org/schema/bom/1.4" serialNumber="s"><metadata><timestamp>2024-01-01</timestamp>
      <component bom-ref="m"><group>g</group><name>main</name><version>1</version><purl>pkg:maven/g/main@1</purl></component></metadata>
      <components><component bom-ref="c"><name>c</name><version>2</version><purl>pkg:npm/c@2</purl></component><component><name>d</name></component></components>
      <vulnerabilities><vulnerability><id>CVE-1</id><ratings><rating><severity>low</severity></rating><rating><severity>high</severity></rating></ratings>
      <analysis><state>exploitable</state><justification>code_not_reachable</justification></analysis>
      <affects><target><ref>c</ref></target><target><ref>pkg:npm/z@1</ref></target><target><ref>?</ref></target></affects></vulnerability></vulnerabilities></bom>"#;
    for document in [json, xml] {
        facets(
            document,
            r#"{"severity":"high","ids":["CVE-1","s"],"ecosystems":["Maven","npm"],"packages":["pkg:maven/g/main","pkg:npm/z"]}"#,
        );
        let draft = draft(document);
        let evidence =
            Evidence::open(draft.format, &draft.content, &Limits::DEFAULT).expect("valid");
        assert_eq!(
            statements(&evidence),
            ["CVE-1  Affected code_not_reachable [c pkg:npm/c@2, pkg:npm/z@1 pkg:npm/z@1, ? -]"]
        );
        assert_eq!(components(&evidence, false), ["c - c 2 pkg:npm/c@2", "- - d - -"]);
        assert_eq!(components(&evidence, true), ["m g main 1 pkg:maven/g/main@1"]);
        assert!(evidence.sbom().and_then(|sbom| sbom.created()).is_some());
        assert!(evidence.advisory().is_none() && evidence.finding().is_none());
    }
}

#[test]
fn spdx_says_the_same_in_json_and_tag_value() {
    let json = r#"{"spdxVersion":"SPDX-2.3","documentNamespace":"n","creationInfo":{"created":"2024-01-01T00:00:00Z"},
      "packages":[{"SPDXID":"SPDXRef-A","name":"a","versionInfo":"1","externalRefs":[{"referenceType":"cpe23Type","referenceLocator":"cpe:x"},{"referenceType":"purl","referenceLocator":"pkg:npm/a@1"}]},
                  {"SPDXID":"SPDXRef-B","name":"b"}],
      "relationships":[{"spdxElementId":"SPDXRef-DOCUMENT","relationshipType":"DESCRIBES","relatedSpdxElement":"SPDXRef-A"}]}"#;
    let described = json
        .replace(r#""relationships":["#, r#""documentDescribes":["SPDXRef-A"],"relationships":["#);
    let text = "SPDXVersion: SPDX-2.3\nDocumentNamespace: n\nCreated: 2024-01-01T00:00:00Z\n\
      PackageName: a\nSPDXID: SPDXRef-A\nPackageVersion: 1\nExternalRef: SECURITY cpe23Type cpe:x\nExternalRef: PACKAGE-MANAGER purl pkg:npm/a@1\n\
      PackageName: b\nSPDXID: SPDXRef-B\nRelationship: SPDXRef-DOCUMENT DESCRIBES SPDXRef-A\n";
    for document in [json, &described, text] {
        facets(document, r#"{"ids":["n"],"ecosystems":["npm"],"packages":["pkg:npm/a"]}"#);
        let draft = draft(document);
        let evidence =
            Evidence::open(draft.format, &draft.content, &Limits::DEFAULT).expect("valid");
        assert_eq!(
            components(&evidence, false),
            ["SPDXRef-A - a 1 pkg:npm/a@1", "SPDXRef-B - b - -"]
        );
        assert_eq!(components(&evidence, true), ["SPDXRef-A - a 1 pkg:npm/a@1"]);
        assert!(evidence.vex().is_none());
    }
}

#[test]
fn spdx3_subject_is_the_root_element() {
    let document = r#"{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld","@graph":[
      {"type":"SpdxDocument","spdxId":"d","rootElement":["s"]},{"type":"software_Sbom","spdxId":"s","rootElement":["p"]},
      {"type":"software_Package","spdxId":"p","name":"a","software_packageVersion":"1","software_packageUrl":"pkg:npm/a@1"},
      {"type":"software_Package","spdxId":"q","name":"b","externalIdentifier":[{"externalIdentifierType":"packageUrl","identifier":"pkg:npm/b@1"}]}]}"#;
    facets(document, r#"{"ids":["d"],"ecosystems":["npm"],"packages":["pkg:npm/a"]}"#);
    let draft = draft(document);
    let evidence = Evidence::open(draft.format, &draft.content, &Limits::DEFAULT).expect("valid");
    assert_eq!(components(&evidence, false), ["p - a 1 pkg:npm/a@1", "q - b - pkg:npm/b@1"]);
}

#[test]
fn facets_of_findings() {
    facets(
        r#"{"SchemaVersion":2,"ArtifactName":"a","Results":[{"Target":"t","Class":"os-pkgs","Vulnerabilities":[
            {"VulnerabilityID":"CVE-1","VendorIDs":["RHSA-1"],"PkgName":"p","Severity":"HIGH","PkgIdentifier":{"PURL":"pkg:deb/debian/p@1?arch=amd64"}}]}]}"#,
        r#"{"severity":"high","ids":["CVE-1","RHSA-1","a#os-pkgs#t#p##CVE-1"],"ecosystems":["Debian"],"packages":["pkg:deb/debian/p"]}"#,
    );
    let report = r#"{"matches":[{"vulnerability":{"id":"GHSA-1","severity":"Negligible"},"relatedVulnerabilities":[{"id":"CVE-1"}],
        "artifact":{"id":"x","name":"p","purl":"pkg:npm/p@1"}}]}"#;
    facets(
        report,
        r####"{"severity":"low","ids":["###x##GHSA-1","CVE-1","GHSA-1"],"ecosystems":["npm"],"packages":["pkg:npm/p"]}"####,
    );
    let draft = draft(report);
    let evidence = Evidence::open(draft.format, &draft.content, &Limits::DEFAULT).expect("valid");
    let finding = evidence.finding().expect("a finding");
    assert_eq!(finding.rule_id().as_deref(), Some("GHSA-1"));
}

#[test]
fn the_sha1_of_a_component_is_read_from_every_format() {
    let sha1 = "2fd4e1c67a2d28fced849ee1bb76e7391b93eb12";
    let upper = sha1.to_uppercase();
    let cases = [
        format!(
            r#"{{"bomFormat":"CycloneDX","specVersion":"1.5","serialNumber":"s","components":[
              {{"name":"a","hashes":[{{"alg":"MD5","content":"x"}},{{"alg":"SHA-1","content":"short"}},{{"alg":"SHA-1","content":"{upper}"}}]}},
              {{"name":"b","hashes":[{{"alg":"SHA-256","content":"{sha1}"}}]}}]}}"#
        ),
        format!(
            r#"<bom xmlns="http://cyclonedx.org/schema/bom/1.5" serialNumber="s"><components>
              <component><name>a</name><hashes><hash alg="MD5">x</hash><hash alg="SHA-1">short</hash><hash alg="SHA-1"> {sha1} </hash>
                <hash alg="SHA-1">da39a3ee5e6b4b0d3255bfef95601890afd80709</hash></hashes>
                <components><component><hashes><hash alg="SHA-1">da39a3ee5e6b4b0d3255bfef95601890afd80709</hash></hashes></component></components></component>
              <component><name>b</name><hashes><hash alg="SHA-256">{sha1}</hash></hashes></component></components></bom>"#
        ),
        format!(
            r#"{{"spdxVersion":"SPDX-2.3","documentNamespace":"n","packages":[
              {{"name":"a","checksums":[{{"algorithm":"SHA256","checksumValue":"x"}},{{"algorithm":"SHA1","checksumValue":"{sha1}"}}]}},
              {{"name":"b","checksums":{{"algorithm":"SHA1","checksumValue":"{sha1}"}}}}]}}"#
        ),
        format!(
            "SPDXVersion: SPDX-2.3\nDocumentNamespace: n\nPackageName: a\nPackageChecksum: MD5: x\n\
             PackageChecksum: SHA1: {sha1}\nFileName: f\nFileChecksum: SHA1: {upper}\nPackageName: b\n"
        ),
        format!(
            r#"{{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld","@graph":[{{"type":"SpdxDocument","spdxId":"d"}},
              {{"type":"software_Package","name":"a","verifiedUsing":[{{"type":"Hash","algorithm":"sha1","hashValue":"{sha1}"}}]}},
              {{"type":"software_Package","name":"b","verifiedUsing":[{{"type":"Hash","algorithm":"sha256","hashValue":"{sha1}"}}]}}]}}"#
        ),
    ];
    for document in cases {
        let draft = draft(&document);
        let evidence =
            Evidence::open(draft.format, &draft.content, &Limits::DEFAULT).expect("valid");
        let mut found = Vec::new();
        evidence.sbom().expect("an SBOM").each_component(&mut |component| {
            let sha1 = component.sha1.map_or("-".to_owned(), |sha1| sha1.to_string());
            found.push(format!("{} {sha1}", component.name.unwrap_or_default()));
        });
        assert_eq!(found, [format!("a {sha1}"), "b -".to_owned()], "{document}");
    }
}

#[test]
fn a_line_of_a_jar_list_is_an_sbom_of_one_jar() {
    let sha1 = "2fd4e1c67a2d28fced849ee1bb76e7391b93eb12";
    let cases = [
        (r#""groupID":"io.netty","file":"netty-4.1.jar""#, "pkg:maven/io.netty/netty@4.1"),
        (r#""groupID":null,"file":"x.jar""#, "pkg:maven/netty@4.1"),
        (
            r#""groupID":"g","file":"libs/netty-4.1-linux-x86_64.jar""#,
            "pkg:maven/g/netty@4.1?classifier=linux-x86_64",
        ),
        (
            r#""groupID":"g h","file":"netty-4.1-c.jar","classifier":"all","archiveType":"aar""#,
            "pkg:maven/g%20h/netty@4.1?classifier=all&type=aar",
        ),
        (r#""groupID":"g","archiveType":"jar""#, "pkg:maven/g/netty@4.1"),
    ];
    for (members, purl) in cases {
        let document =
            format!(r#"{{"sha1":"{sha1}","artifactID":"netty","version":"4.1",{members}}}"#);
        let draft = draft(&document);
        let packages = purl.split('@').next().expect("a package");
        let id = format!("{packages}@4.1?checksum=sha1:{sha1}");
        assert_eq!(draft.id.as_str(), id);
        facets(
            &document,
            &format!(r#"{{"ids":["{id}"],"ecosystems":["Maven"],"packages":["{packages}"]}}"#),
        );
        let evidence =
            Evidence::open(draft.format, &draft.content, &Limits::DEFAULT).expect("valid");
        let group = members.split('"').nth(3).filter(|_| !members.contains("null"));
        let expected = format!("- {} netty 4.1 {purl}", group.unwrap_or("-"));
        assert_eq!(components(&evidence, false), std::slice::from_ref(&expected));
        assert_eq!(components(&evidence, true), [expected]);
    }
}

#[test]
fn statements_tell_their_time_and_what_narrows_them() {
    let openvex = r#"{"@context":"https://openvex.dev/ns/v0.2.0","@id":"v","timestamp":"2024-01-01","statements":[
      {"vulnerability":"CVE-1","status":"affected","action_statement":"act","status_notes":"note","timestamp":"2025-01-01",
       "products":[{"@id":"pkg:npm/x","subcomponents":[{"@id":"other"}]}]},
      {"vulnerability":"CVE-2","status":"not_affected","impact_statement":"none","products":["pkg:npm/y"]}]}"#;
    let csaf = r#"{"document":{"category":"csaf_vex","csaf_version":"2.0","title":"T","publisher":{"namespace":"n"},
      "tracking":{"id":"t","version":"1","current_release_date":"2024-02-02"}},
      "product_tree":{"full_product_names":[
        {"product_id":"os","product_identification_helper":{"purl":"pkg:oci/os"}},{"product_id":"cpe"},
        {"product_id":"c","product_identification_helper":{"purl":"pkg:npm/c"}}],
       "relationships":[
        {"product_reference":"c","relates_to_product_reference":"os","full_product_name":{"product_id":"os:c"}},
        {"product_reference":"c","relates_to_product_reference":"cpe","full_product_name":{"product_id":"cpe:c"}},
        {"product_reference":"c","relates_to_product_reference":"os:c","full_product_name":{"product_id":"os:c:c"}}]},
      "vulnerabilities":[{"cve":"CVE-3","product_status":{"fixed":["c","os:c","cpe:c","os:c:c"]}}]}"#;
    let mut told = Vec::new();
    for document in [openvex, csaf] {
        let draft = draft(document);
        let evidence =
            Evidence::open(draft.format, &draft.content, &Limits::DEFAULT).expect("valid");
        evidence.vex().expect("a VEX").each_statement(&mut |statement| {
            let texts =
                [&statement.updated, &statement.impact, &statement.action, &statement.notes];
            let texts: Vec<&str> = texts.iter().filter_map(|text| text.as_deref()).collect();
            let products: Vec<String> = statement
                .products
                .iter()
                .map(|product| match &product.part_of {
                    Some(whole) => format!("in {} {:?}", whole.id, whole.purl.as_deref()),
                    None => format!("nameless {}", product.nameless_subcomponents),
                })
                .collect();
            told.push(format!("{}: {}", texts.join(" "), products.join(", ")));
        });
    }
    assert_eq!(
        told,
        [
            "2025-01-01 act note: nameless 1",
            "2024-01-01 none: nameless 0",
            "2024-02-02: nameless 0, in os Some(\"pkg:oci/os\"), in cpe None, in os:c None",
        ]
    );
}

/// Statements as `vulnerability aliases status justification [product purl +subcomponents, …]`.
fn statements(evidence: &Evidence<'_>) -> Vec<String> {
    let or_dash = |text: Option<&str>| text.unwrap_or("-").to_owned();
    let mut listing = Vec::new();
    evidence.vex().expect("a VEX").each_statement(&mut |statement| {
        let status = statement.status.map(|status: Status| format!("{status:?}"));
        let products = statement.products.iter().map(|product| {
            let parts: String =
                product.subcomponents.iter().map(|part| format!(" +{part}")).collect();
            format!("{} {}{parts}", product.id, or_dash(product.purl.as_deref()))
        });
        listing.push(format!(
            "{} {} {} {} [{}]",
            statement.vulnerability,
            statement.aliases.join(","),
            or_dash(status.as_deref()),
            or_dash(statement.justification.as_deref()),
            products.collect::<Vec<_>>().join(", "),
        ));
    });
    listing
}

/// Components as `reference group name version purl`.
fn components(evidence: &Evidence<'_>, only_subjects: bool) -> Vec<String> {
    let mut listing = Vec::new();
    let sbom = evidence.sbom().expect("an SBOM");
    let mut take = |component: stella_records::view::Component<'_>| {
        let parts = [
            component.reference,
            component.group,
            component.name,
            component.version,
            component.purl,
        ];
        let parts: Vec<_> = parts.iter().map(|part| part.as_deref().unwrap_or("-")).collect();
        listing.push(parts.join(" "));
    };
    if only_subjects {
        sbom.each_subject(&mut take)
    } else {
        sbom.each_component(&mut take)
    }
    listing
}
