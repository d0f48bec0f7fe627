//! What libpq is told unless somebody says otherwise: the address, the environment, or the service
//! that they name.

use std::path::{Path, PathBuf};

use super::line::Line;

/// A parameter, its value, and the variable of the environment that stands before that: to notice
/// within a lease that the server is gone, and to leave alone one that takes no writes. After a
/// failover a name may lead to the old primary for a while, and a session with it would last: it
/// writes nothing, and what it reads is out of date.
const DEFAULTS: [(&str, &str, Option<&str>); 6] = [
    ("connect_timeout", "5", Some("PGCONNECT_TIMEOUT")),
    ("keepalives_idle", "3", None),
    ("keepalives_interval", "1", None),
    ("keepalives_count", "3", None),
    ("tcp_user_timeout", "5000", None),
    (
        "target_session_attrs",
        "read-write",
        Some("PGTARGETSESSIONATTRS"),
    ),
];

/// Adds those that nobody has said.
pub(super) fn add(line: &mut Line, environment: &dyn Fn(&str) -> Option<String>) {
    let of_service = of_service(line, environment);
    for (name, value, variable) in DEFAULTS {
        let is_said = variable.is_some_and(|variable| environment(variable).is_some())
            || of_service.iter().any(|said| said == name);
        if !line.has(name) && !is_said {
            line.push(name, value);
        }
    }
}

/// What the service of the address has in the file of services.
fn of_service(line: &Line, environment: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let of_line = |name: &str| {
        let parameters = line.parameters().iter();
        let mut found = parameters.filter(|(given, _)| given == name);
        found.next().map(|(_, value)| value.clone())
    };
    let Some(service) = of_line("service").or_else(|| environment("PGSERVICE")) else {
        return Vec::new();
    };
    let of_user = || environment("HOME").map(|home| Path::new(&home).join(".pg_service.conf"));
    let of_system = || environment("PGSYSCONFDIR").map(|it| Path::new(&it).join("pg_service.conf"));
    let own = of_line("servicefile").or_else(|| environment("PGSERVICEFILE"));
    let files = [own.map(PathBuf::from).or_else(of_user), of_system()];
    let texts = files
        .into_iter()
        .flatten()
        .filter_map(|file| std::fs::read_to_string(file).ok());
    let sections = texts.map(|text| section(&text, &service));
    sections
        .into_iter()
        .find(|section| !section.is_empty())
        .unwrap_or_default()
}

/// The names in this section.
fn section(text: &str, service: &str) -> Vec<String> {
    let head = format!("[{service}]");
    let lines = text
        .lines()
        .map(str::trim)
        .skip_while(|line| *line != head)
        .skip(1);
    let lines = lines.take_while(|line| !line.starts_with('['));
    let lines = lines.filter(|line| !line.starts_with('#'));
    let names = lines.filter_map(|line| line.split_once('='));
    names.map(|(name, _)| name.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(address: &str, environment: &[(&str, &str)]) -> String {
        let mut line = Line::parse(address).unwrap();
        add(&mut line, &|name| {
            let found = environment.iter().find(|(given, _)| *given == name);
            found.map(|(_, value)| (*value).to_owned())
        });
        line.to_string()
    }

    #[test]
    fn what_is_said_elsewhere_is_not_said_again() {
        let usual = with("postgres://db/app", &[]);
        for (name, value, _) in DEFAULTS {
            assert!(usual.contains(&format!("{name}={value}")), "{usual}");
        }
        let own = with("host=db connect_timeout=9", &[]);
        assert!(
            own.contains("connect_timeout='9'") && !own.contains("connect_timeout='5'"),
            "{own}"
        );
        let told = with("postgres://db/app", &[("PGCONNECT_TIMEOUT", "9")]);
        assert!(
            !told.contains("connect_timeout") && told.contains("target_session_attrs"),
            "{told}"
        );
    }

    #[test]
    fn a_service_is_not_overridden() {
        let text = "[other]\nkeepalives_idle=9\n[shop]\n# why\nhost=db\nconnect_timeout = 8\n\n[last]\nport=1\n";
        assert_eq!(section(text, "shop"), ["host", "connect_timeout"]);
        assert!(section(text, "none").is_empty());
        let file = std::env::temp_dir().join(format!("cf-services-{}.conf", std::process::id()));
        std::fs::write(&file, text).unwrap();
        let named = [
            ("PGSERVICEFILE", file.to_str().unwrap()),
            ("PGSERVICE", "other"),
        ];
        let of_line = with("postgres://?service=shop", &named);
        let of_environment = with("postgres://", &named);
        std::fs::remove_file(&file).unwrap();
        assert!(
            !of_line.contains("connect_timeout") && of_line.contains("keepalives_idle"),
            "{of_line}"
        );
        assert!(
            !of_environment.contains("keepalives_idle"),
            "{of_environment}"
        );
    }
}
