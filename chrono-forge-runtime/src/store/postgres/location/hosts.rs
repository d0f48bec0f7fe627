//! An address of several hosts, as one of each.

use super::line::Line;

/// Parameters that have one value for each host, or one for all.
const LISTS: [&str; 3] = ["host", "hostaddr", "port"];

impl Line {
    /// The address of each of its hosts; none where it has only one.
    pub(super) fn each_host(&self) -> Vec<Self> {
        let lists = self.parameters().iter().filter(|(name, _)| is_list(name));
        let of_parameters = lists.map(|(_, value)| value.split(',').count()).max();
        match (self, of_parameters) {
            (_, Some(hosts)) if hosts > 1 => (0..hosts).map(|nth| self.with_host(nth)).collect(),
            (Self::Url(address, parameters), None) => {
                let each = each_authority(address);
                each.map(|address| Self::Url(address, parameters.clone()))
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    /// The same with the host of this place alone.
    fn with_host(&self, nth: usize) -> Self {
        let mut line = self.without_parameters();
        for (name, value) in self.parameters() {
            let mut values = value.split(',');
            let first = values.clone().next();
            match is_list(name) {
                true => line.push(name, values.nth(nth).or(first).unwrap_or_default()),
                false => line.push(name, value),
            }
        }
        line
    }
}

fn is_list(name: &str) -> bool {
    LISTS.contains(&name)
}

/// Of `postgres://user@a:1,b:2/database`, which has no parameters.
fn each_authority(address: &str) -> impl Iterator<Item = String> {
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (account, hosts) = match authority.rsplit_once('@') {
        Some((account, hosts)) => (format!("{account}@"), hosts),
        None => (String::new(), authority),
    };
    let hosts: Vec<&str> = hosts.split(',').filter(|_| hosts.contains(',')).collect();
    let each = hosts
        .into_iter()
        .map(move |host| format!("{scheme}://{account}{host}{path}"));
    each.collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each(address: &str) -> Vec<String> {
        let line = Line::parse(address).unwrap();
        line.each_host().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_host_has_an_address_of_its_own() {
        assert_eq!(
            each("postgres://me:pw@a:1,b:2/db?x=1"),
            ["postgres://me:pw@a:1/db?x=1", "postgres://me:pw@b:2/db?x=1"]
        );
        assert_eq!(each("postgres://a,b"), ["postgres://a", "postgres://b"]);
        assert_eq!(
            each("postgres:///db?host=a,b&port=7"),
            [
                "postgres:///db?host=a&port=7",
                "postgres:///db?host=b&port=7"
            ]
        );
        assert_eq!(
            each("host=a,b port=1,2 dbname=db"),
            [
                "host='a' port='1' dbname='db'",
                "host='b' port='2' dbname='db'"
            ]
        );
        for one in [
            "postgres://me@a:1/db?x=1,2",
            "postgres:///db?host=a",
            "host=a dbname=db",
        ] {
            assert!(each(one).is_empty(), "{one}");
        }
    }
}
