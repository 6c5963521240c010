use super::*;

#[test]
fn commands_are_split_as_a_shell_does_and_nothing_is_expanded() {
    let split = |command: &str| words("process_command", command);
    assert_eq!(split("acs-sso login --profile sso").unwrap().len(), 4);
    assert_eq!(
        split(r#"'/opt/my tools/sso' "a b" c\ d $HOME `id` ; * > x"#).unwrap(),
        ["/opt/my tools/sso", "a b", "c d", "$HOME", "`id`", ";", "*", ">", "x"]
    );
    for (command, why) in [
        ("a 'b", "a quote is not closed"),
        ("a \\", "ends in a backslash"),
        ("''", "names no program"),
        ("# nothing", "names no program"),
    ] {
        let problem = split(command).unwrap_err().to_string();
        assert!(problem.contains(why), "{command}: {problem}");
    }
}

#[test]
fn addresses_are_https_or_of_this_machine() {
    for good in [
        "https://creds.example.com/x?y",
        "http://127.0.0.1:80/x",
        "http://localhost/",
        "http://[::1]:8080/",
    ] {
        assert!(url("credentials_uri", good).is_ok(), "{good}");
    }
    for (bad, why) in [
        ("http://creds.example.com/", "in the clear"),
        ("https://user:pass@host/", "user or password"),
        ("ftp://host/", "scheme"),
        ("/etc/passwd", "not a URL"),
        ("not a url", "not a URL"),
        ("", "not a URL"),
    ] {
        let problem = url("credentials_uri", bad).unwrap_err().to_string();
        assert!(problem.contains(why) && !problem.contains("pass@"), "{bad}: {problem}");
    }
}

#[test]
fn commands_to_paste_are_quoted() {
    assert_eq!(command("configure", "sso"), "`aliyun configure --profile sso`");
    assert_eq!(
        command("configure", "x; rm -rf ~"),
        "`aliyun configure --profile 'x; rm -rf ~'`"
    );
    assert!(!command("configure", "a\u{1b}[2Jb\n").contains(|letter: char| letter.is_control()));
}

#[test]
fn names_of_roles_cannot_climb() {
    for bad in ["../x", "a/b", ".", "..", "a?b", "a b", "a#", &"x".repeat(65)] {
        assert!(role_name("ram_role_name", bad.to_owned()).is_err(), "{bad}");
    }
    assert!(role_name("ram_role_name", "KubernetesWorkerRole-1.2_x".to_owned()).is_ok());
}
