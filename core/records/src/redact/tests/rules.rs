//! Every rule with what it must find and what it must leave.

use super::*;

/// What homes lie in on macOS; no file of the repository may hold a path of one machine.
const USERS: &str = concat!("/", "Users", "/");

/// Each text with what must become of it, in which `{}` stands for the marker of the rule.
fn check_rule(rule: &str, cases: &[(&str, &str)]) {
    let rules = standard();
    for (before, after) in cases {
        let before = &before.replace("<users>", USERS);
        let after = after.replace("<users>", USERS);
        let expected = after.replace("{}", &format!("[redacted:{rule}]"));
        let (redacted, counts) = text(&rules, before);
        assert_eq!(redacted, expected, "of {before:?}");
        let markers = expected.matches("[redacted:").count() as u64;
        let counted: BTreeMap<String, u64> =
            (markers > 0).then(|| (rule.to_owned(), markers)).into_iter().collect();
        assert_eq!(counts, counted, "of {before:?}");
    }
}

/// Texts that must stay as they are.
fn check_kept(cases: &[&str]) {
    let rules = standard();
    for case in cases {
        let case = case.replace("<users>", USERS);
        assert_eq!(text(&rules, &case), (case.clone(), BTreeMap::new()));
    }
}

#[test]
fn mail_addresses_of_persons_are_redacted() {
    check_rule(
        "email",
        &[
            ("Jane Doe <jane.doe@example.com>", "Jane Doe <{}>"),
            ("Person: Jane Doe (jane@example.com)", "Person: Jane Doe ({})"),
            ("jane@example.com, joe+x@mail.example.co.uk.", "{}, {}."),
            ("mailto:jane_doe@example.com?subject=x", "mailto:{}?subject=x"),
            ("JANE@EXAMPLE.COM", "{}"),
            ("j@xn--mller-kva.de", "{}"),
            ("andré@bücher.example", "{}"),
            ("jane@163.com", "{}"),
            ("jane@4md.gr", "{}"),
            ("call 317-916-4274jane@horner.ie", "call {}"),
            ("https://example.com/?to=jane%40example.com&x=1", "https://example.com/?to={}&x=1"),
            ("jane@example.comPhone", "{}"),
            ("a@b.c@example.com", "a@{}"),
            ("jane@host.internal", "{}"),
            ("https://jane@example.com/repo.git", "https://{}/repo.git"),
            (
                "pkg:generic/a@1?vcs_url=git+ssh://jane@git.example.com/a",
                "pkg:generic/a@1?vcs_url=git+ssh://{}/a",
            ),
            ("{\"email\":\"jane@example.com\"}", "{\"email\":\"{}\"}"),
            ("line\njane@example.com\n", "line\n{}\n"),
        ],
    );
}

#[test]
fn versions_scopes_and_roles_are_no_mail_addresses_of_persons() {
    check_kept(&[
        "pkg:npm/lodash@4.17.21",
        "pkg:npm/%40babel/core@7.0.0-beta.3",
        "pkg:maven/org.jboss/logging@3.6.1.Final",
        "pkg:generic/x@main.release.com",
        "@babel/core@7.0.0",
        "https://unpkg.com/react@18.2.0/index.js",
        "https://registry.example.com/%40scope%2Fname",
        "https://host.example/a%2F%40types.node",
        "openssl@3.0.7-18.el8",
        "jboss-logging@3.6.1.Final",
        "mutiny@v2.8.0.redhat",
        "instance-identity@173.va",
        "postgresql@226.pgdg",
        "icon@2x.png",
        "getty@tty1.service",
        "systemd-fsck@.service.8.gz",
        "enc_fuzzer@Enc.EncTest",
        "actions/checkout@v4",
        "git@github.com:org/repo.git",
        "git+ssh://git@github.com/org/repo.git",
        "chacha20-poly1305@openssh.com",
        "security@example.com and PSIRT@Example.com",
        "ubuntu-devel-discuss@lists.ubuntu.com",
        "pkg-systemd-maintainers@example.org",
        "TechSupport.Hasselroth@emerson.example",
        "util-linux@vger.kernel.org",
        "https://lore.kernel.org/linux-cve-announce/2024051912-CVE-2024-1-x@gregkh.example.com/T",
        "cpe:2.3:a:vendor:product:1.0:*:*:*:*:node.js:*:*",
        "user@localhost",
        "@",
        "a@b",
        "@example.com",
        "a@@example.",
        "100%40",
    ]);
}

#[test]
fn secrets_are_redacted() {
    let t36 = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8";
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N";
    let cases = [
        "AKIAIOSFODNN7EXAMPLE".to_owned(),
        format!("ghp_{t36}"),
        format!("github_pat_{t36}"),
        "glpat-0123456789abcdefghij".to_owned(),
        "xoxb-123456789012-abcdefABCDEF".to_owned(),
        format!("npm_{t36}"),
        format!("pypi-AgEIcHlwaS5vcmc{t36}{t36}"),
        jwt.to_owned(),
        format!("sk_live_{t36}"),
        format!("hvs.{t36}"),
        format!("dckr_pat_{t36}"),
        format!("AIza{}", &t36[1..]),
    ];
    for token in &cases {
        check_rule(
            "token",
            &[
                (token, "{}"),
                (&format!("x=\"{token}\" y"), "x=\"{}\" y"),
                (&format!("https://example.com/{token}/x"), "https://example.com/{}/x"),
            ],
        );
    }
    let hook = "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX";
    check_rule("token", &[(hook, "https://hooks.slack.com/services/{}")]);
    let body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n";
    let key = format!(
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: DES-EDE3-CBC,6D2A\n\n{body}{body}-----END RSA PRIVATE KEY-----"
    );
    let cut = format!("-----BEGIN PRIVATE KEY-----\\n{body}");
    check_rule(
        "private-key",
        &[(&format!("a {key} b"), "a {} b"), (&format!("{key}\n{key}"), "{}\n{}"), (&cut, "{}")],
    );
    check_rule(
        "authorization",
        &[
            ("Authorization: Basic dXNlcjpwYXNzd29yZA==", "Authorization: Basic {}"),
            ("-H 'authorization: Bearer 0123456789abcdef'", "-H 'authorization: Bearer {}'"),
            ("use bearer 0123456789abcdefghij0", "use bearer {}"),
        ],
    );
    check_rule(
        "secret",
        &[
            ("password=hunter2x", "password={}"),
            (
                "https://example.com/?token=553da5d11234bbe1&f=1",
                "https://example.com/?token={}&f=1",
            ),
            ("\"api_key\": \"q8w7e6r5\"", "\"api_key\": \"{}\""),
            ("secret = 'correct-horse'", "secret = '{}'"),
            ("AccountKey=abcd1234EFGH==;x", "AccountKey={};x"),
            ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYz", "AWS_SECRET_ACCESS_KEY={}"),
            ("passwd: abc123def", "passwd: {}"),
        ],
    );
}

#[test]
fn words_about_secrets_are_no_secrets() {
    check_kept(&[
        "The password is compared in constant time; token: lowercase letters.",
        "password = request.form.get('password1')",
        "password = '{}'",
        "password=None",
        "password=${PASSWORD1}",
        "password=********",
        "cpe:2.3:a:passwd:base-passwd:3.5.51:*:*:*:*:*:*:*",
        "passwd: 4.8.1-1ubuntu5",
        "api_key: \"<your-api-key>\"",
        "Basic authentication and bearer authentication are supported",
        "Bearer tokens",
        "io.quarkus:quarkus-keycloak-authorization:3.20.0.redhat-00001",
        "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA0Z3VS5JJcds3xfn\n",
        "checks for -----BEGIN PRIVATE KEY----- headers",
        "AKIA, ghp_ and npm_ are prefixes",
        "task-password-console-0123456789",
        "disk-0123456789abcdef0123456789abcdef",
        "eyJhbGciOiJIUzI1NiJ9",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ]);
}

#[test]
fn private_urls_are_redacted() {
    check_rule(
        "internal-url",
        &[
            ("see http://10.1.2.3/a/b?c=d.", "see {}."),
            ("http://192.168.0.1:8080", "{}"),
            ("http://172.31.0.1/ http://172.32.0.1/", "{} http://172.32.0.1/"),
            ("http://127.0.0.1:3000/x", "{}"),
            ("http://169.254.169.254/latest", "{}"),
            ("http://[::1]:8080/x", "{}"),
            ("http://[fd00::1]/ http://[2001:db8::1]/", "{} http://[2001:db8::1]/"),
            ("https://wiki.corp/page", "{}"),
            ("[wiki](https://wiki.acme.internal/page)", "[wiki]({})"),
            ("git+https://git.acme.local/x.git@v1", "{}"),
            ("ssh://git@build01/srv/x.git", "{}"),
            ("jdbc:postgresql://db01:5432/app", "jdbc:{}"),
            ("http://localhost:8080/job/x", "{}"),
            ("http://user:pass@10.0.0.1/x", "{}"),
            ("file:///etc/passwd", "{}"),
            ("file://server/share", "{}"),
            ("HTTP://WIKI.CORP/x", "{}"),
            ("(http://wiki.corp)!", "({})!"),
            ("registry.corp:5000/app:1", "{}"),
            ("at 10.2.3.4:9200/x now", "at {} now"),
            (
                "pkg:generic/a@1?download_url=https%3A%2F%2Fnexus.corp%2Fa.tgz&x=1",
                "pkg:generic/a@1?download_url={}&x=1",
            ),
            (
                "pkg:generic/a@1?vcs_url=git%2Bhttps:%2F%2Fnexus.lan%2Fa",
                "pkg:generic/a@1?vcs_url=git%2B{}",
            ),
        ],
    );
    check_rule(
        "url-credentials",
        &[
            ("https://user:pa55@example.com/x", "https://{}@example.com/x"),
            ("https://0123456789abcdefghij@example.com/", "https://{}@example.com/"),
            ("ftp://anonymous:x@ftp.example.com", "ftp://{}@ftp.example.com"),
        ],
    );
}

#[test]
fn public_addresses_stay() {
    check_kept(&[
        "https://github.com/org/repo/issues/1",
        "https://8.8.8.8/",
        "https://home.example.com/ https://corp.example.com/ https://internal.dev/",
        "the `file://` scheme, http:// and https://",
        "https://https://example.com",
        "docker://alpine s3://bucket/key urn:x://y",
        "pkg:maven/com.sun.internal/jaxb@1.0 org.jdk.internal.Foo",
        "version 10.0.0.1 and 192.168.1.1",
        "10.0.19041.1:amd64",
        "http://{host}:8080/ https://<your-host>/ http://$HOST/x",
        "https://user:{password}@example.com/",
        "settings.local.json",
        "pkg:generic/a@1?download_url=https%3A%2F%2Fexample.com%2Fa",
        "%2F%2F%2F%2F",
        "{http://example.com}",
    ]);
}

#[test]
fn home_folders_lose_the_name_of_the_person() {
    check_rule(
        "home-path",
        &[
            ("/home/jane/src", "/home/{}/src"),
            ("dir:/home/jane", "dir:/home/{}"),
            ("<users>jane.doe/dev and <users>joe", "<users>{}/dev and <users>{}"),
            ("C:\\Users\\Jane\\x", "C:\\Users\\{}\\x"),
            ("c:<users>Jane/x", "c:<users>{}/x"),
            ("C:\\\\Users\\\\Jane\\\\x", "C:\\\\Users\\\\{}\\\\x"),
            ("/home/renée/x", "/home/{}/x"),
        ],
    );
    check_kept(&[
        "/home/node/app /home/runner/work <users>Shared/x C:\\Users\\Public\\x",
        "https://example.com/home/news",
        "https://example.com<users>me",
        "./home/jane",
        "usr/home/jane",
        "/home/{user}/x /home/$USER/x /home/",
        "/home/views.py",
        "GET /users/jane",
    ]);
}

#[test]
fn every_standard_pattern_lies_under_a_trigger() {
    let triggers = secret::triggers();
    let t36 = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8";
    let rules = standard();
    let texts = [
        "AKIAIOSFODNN7EXAMPLE",
        "Authorization: Basic dXNlcjpwYXNzd29yZA==",
        "bearer 0123456789abcdefghij0",
        "password=hunter2x",
        "account-key = 'q8w7e6r5'",
        "secret:  q8w7e6r5",
        "/home/jane/x",
        "C:\\Users\\jane\\x",
        "C:\\Documents and Settings\\jane\\x",
        "a.corp:80",
        "a.home.arpa:80",
        "10.1.2.3:80",
        "172.16.0.1:80",
        "x:%2F%2fa.corp%2F",
    ];
    let prefixes = [
        "ghp_",
        "gho_",
        "github_pat_",
        "glpat-",
        "glagent-",
        "xoxp-",
        "xapp-1-",
        "npm_",
        "sk_live_",
        "rk_live_",
        "sk-",
        "sk-proj-",
        "dckr_pat_",
        "hvs.",
    ];
    let tokens = prefixes.map(|prefix| format!("{prefix}{t36}"));
    for case in texts.iter().copied().chain(tokens.iter().map(String::as_str)) {
        assert!(triggers.is_match(case.as_bytes()), "{case}");
        let before = case.replace("x:%2F", "http:%2F");
        assert!(text(&rules, &before).0.contains("[redacted:"), "{case}");
        // As part of a longer text and within JSON escapes.
        let (quoted, _) = text(&rules, &format!("\"\n \"{before}\""));
        assert!(quoted.contains("[redacted:"), "{quoted}");
    }
}

#[test]
fn markers_are_left_alone() {
    check_kept(&["[redacted:email]", "a [redacted:internal-url#12] b", "[redacted:x][redacted:y]"]);
    let rules = standard();
    let odd = "[redacted:jane@example.com] [redacted:] [redacted:X] [redacted: jane@example.com";
    let expected =
        "[redacted:[redacted:email]] [redacted:] [redacted:X] [redacted: [redacted:email]";
    assert_eq!(text(&rules, odd).0, expected);
    // An own pattern that looks like the marker cannot eat it.
    let own = "name=\"a\"\n[[deny]]\nid=\"r\"\npattern='redacted|e'";
    let own = RuleSet::from_toml(own).expect("rules");
    assert_eq!(text(&own, "redacted [redacted:r]").0, "[redacted:r] [redacted:r]");
}

#[test]
fn hostile_texts_come_to_an_end() {
    let rules = standard();
    // Anything quadratic would take minutes.
    let size = 1 << 19;
    for unit in [
        "a",
        "@",
        "a@",
        "a@b.",
        "a@b.cd",
        "a@b.cd ",
        "%40",
        "a%40b.cd",
        "://",
        "http://",
        "http://a.corp",
        "http://a.corp ",
        "http://a:b@",
        "file://",
        "%2F%2F",
        "http:%2F%2F",
        "http:%2F%2Fa.corp",
        "/home/",
        "/home/jane ",
        "C:\\Users\\",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "eyJaaaaaaaa.",
        "eyJaaaaaaaa-",
        "password=",
        "password='",
        "token=a1",
        "Authorization: Basic ",
        "bearer aaaaaaaaaaaaaaaaaaaaaaaa ",
        "a.corp:1",
        "a.",
        "10.1.1.1:1",
        "[redacted:",
        "[redacted:email]",
        "[redacted:email]@",
        "pkg:a@",
        "\u{1}",
        "é@é.éé",
    ] {
        let hostile = unit.repeat(size / unit.len());
        text(&rules, &hostile);
    }
    let own =
        "name=\"a\"\ninternal-domains=[\"acme.example\"]\n[[deny]]\nid=\"r\"\npattern='a.*b|a'";
    let own = RuleSet::from_toml(own).expect("rules");
    for unit in ["a", "acme.example", "acme.example.", "aacme.example "] {
        let (redacted, _) = text(&own, &unit.repeat(size / unit.len()));
        assert!(!redacted.contains("acme"), "{unit}");
    }
}
