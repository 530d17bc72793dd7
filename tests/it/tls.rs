//! TLS to a database: whoever has a certificate of the right authority and name is talked to, and
//! nobody else, as the URL says.
//!
//! Authorities and certificates are made by the program `openssl`, which comes with the databases.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use orderd::store::{self, StoreError};
use tempfile::TempDir;

use super::databases::{mysql, postgres, unprivileged};
use super::proxy::Proxy;

/// A key of the kind that everybody can read.
const KEY: [&str; 6] = [
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
];

/// Two authorities, and a certificate for `localhost` by the first.
struct Certificates(TempDir);

impl Certificates {
    /// The files of the server belong to somebody without rights, whose name this is.
    fn new(user: &str) -> Self {
        let it = Self(TempDir::with_prefix("orderd-tls-").unwrap());
        for name in ["right", "wrong"] {
            it.make(name, &["-subj", &format!("/CN=orderd test {name}")]);
        }
        let (authority, key) = (it.file("right.pem"), it.file("right.key"));
        let by = ["-CA", &authority, "-CAkey", &key, "-subj", "/CN=localhost"];
        let is_for = ["-addext", "subjectAltName=DNS:localhost"];
        let is_end = ["-addext", "basicConstraints=critical,CA:FALSE"];
        it.make("server", &[&by[..], &is_for, &is_end].concat());
        if let Some((uid, gid)) = unprivileged(it.0.path(), user) {
            for name in ["server.pem", "server.key"] {
                std::os::unix::fs::chown(it.0.path().join(name), Some(uid), Some(gid)).unwrap();
            }
        }
        it
    }

    fn file(&self, name: &str) -> String {
        let path: PathBuf = self.0.path().join(name);
        path.display().to_string()
    }

    fn make(&self, name: &str, more: &[&str]) {
        let (key, certificate) = (
            self.file(&format!("{name}.key")),
            self.file(&format!("{name}.pem")),
        );
        let mut openssl = Command::new("openssl");
        openssl.args(KEY).args(["-nodes", "-days", "2", "-keyout"]);
        openssl.arg(&key).arg("-out").arg(&certificate).args(more);
        let made = openssl.stderr(Stdio::null()).status();
        assert!(made.expect("openssl is not installed").success(), "{name}");
    }
}

fn opens(url: &str) -> Result<(), StoreError> {
    store::open(url, 1).map(drop)
}

/// Nobody is talked to who has another certificate; the error says so.
#[track_caller]
fn assert_refused(url: &str) {
    let refused = opens(url).unwrap_err();
    let said = refused.to_string().to_lowercase();
    let is_so = matches!(refused, StoreError::Unreachable { .. });
    assert!(is_so && said.contains("certificate"), "{said}");
}

/// A port that no outgoing connection takes.
fn port() -> u16 {
    let first = 20_000 + std::process::id() as u16 % 5_000;
    let mut ports = (first..30_000).filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    ports.next().unwrap()
}

#[test]
fn postgres_is_talked_to_if_its_certificate_is_right() {
    if postgres::place().is_none() {
        return;
    }
    let files = Certificates::new("postgres");
    let (certificate, key, port) = (files.file("server.pem"), files.file("server.key"), port());
    let server = postgres::Server::start(&format!(
        "-c listen_addresses=127.0.0.1 -c port={port} -c ssl=on -c ssl_cert_file={certificate} \
         -c ssl_key_file={key}"
    ));
    let administrator = format!("{}&port={port}", server.url("postgres"));
    postgres::run(&administrator, "CREATE DATABASE safe").unwrap();
    let url = |host: &str, mode: &str, roots: &str| {
        let roots = files.file(roots);
        format!("postgres://orderd@{host}:{port}/safe?sslmode={mode}&sslrootcert={roots}")
    };
    opens(&url("localhost", "verify-full", "right.pem")).unwrap();
    opens(&url("127.0.0.1", "verify-ca", "right.pem")).unwrap();
    opens(&url("127.0.0.1", "require", "right.pem")).unwrap();
    assert_refused(&url("localhost", "verify-full", "wrong.pem"));
    assert_refused(&url("localhost", "verify-ca", "wrong.pem"));
    assert_refused(&url("127.0.0.1", "verify-full", "right.pem"));
    let store = store::open(&url("localhost", "verify-full", "right.pem"), 1).unwrap();
    let encrypted = "SELECT 1 FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                      WHERE application_name = 'orderd' AND ssl";
    assert!(postgres::run(&administrator, encrypted).unwrap() > 0);
    drop(store);
}

#[test]
fn mariadb_is_talked_to_if_its_certificate_is_right() {
    if mysql::place().is_none() {
        return;
    }
    let files = Certificates::new("mysql");
    let (certificate, key) = (files.file("server.pem"), files.file("server.key"));
    let server = mysql::Server::start(&format!("--ssl-cert={certificate} --ssl-key={key}"));
    let name = server.database();
    // Over a socket of the system there is no TLS, so the way goes over a port.
    let proxy = Proxy::to_mysql(server.socket());
    let safe = "CREATE USER safe@localhost IDENTIFIED BY 'hush' REQUIRE SSL;
                GRANT ALL ON *.* TO safe@localhost";
    let administrator = server.url("mysql").replace("orderd:hush@", "root@");
    mysql::run(&administrator, safe).unwrap();
    let url = |host: &str, mode: &str, roots: &Path| {
        let (port, roots) = (proxy.port, roots.display());
        format!("mysql://safe:hush@{host}:{port}/{name}?ssl-mode={mode}&ssl-ca={roots}")
    };
    let (right, wrong) = (files.file("right.pem"), files.file("wrong.pem"));
    let (right, wrong) = (Path::new(&right), Path::new(&wrong));
    opens(&url("localhost", "VERIFY_IDENTITY", right)).unwrap();
    // The driver looks at the name, too, so for these it is the right one.
    opens(&url("localhost", "VERIFY_CA", right)).unwrap();
    opens(&url("localhost", "REQUIRED", right)).unwrap();
    assert_refused(&url("localhost", "VERIFY_IDENTITY", wrong));
    assert_refused(&url("localhost", "REQUIRED", wrong));
    assert_refused(&url("127.0.0.1", "VERIFY_IDENTITY", right));
    // This user is let in by nothing else.
    let plain = opens(&url("localhost", "DISABLED", right)).unwrap_err();
    assert!(matches!(plain, StoreError::Unreachable { .. }), "{plain}");
}
