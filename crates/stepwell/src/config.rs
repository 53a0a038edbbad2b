//! Configuration: defaults < file < environment < flags, merged once.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// What an operator can set, after merging.
#[derive(Clone, Debug)]
pub struct Config {
    pub listen: SocketAddr,
    /// Everything that is stored lies below this folder.
    pub data: PathBuf,
    pub credentials: Vec<CredentialConfig>,
    pub limits: LimitsConfig,
    pub functions: FunctionsConfig,
    pub http_invoke: HttpInvokeConfig,
    pub sql: SqlConfig,
    /// Mocked answers for test cases of state machines.
    pub mock_config: Option<PathBuf>,
}

/// The configuration file. An unknown key is an error: a misspelt setting must not be a silent default.
#[derive(Deserialize, Default, Debug)]
#[serde(deny_unknown_fields, default)]
struct File {
    listen: Option<SocketAddr>,
    data: Option<PathBuf>,
    credentials: Vec<CredentialConfig>,
    limits: LimitsConfig,
    functions: FunctionsConfig,
    http_invoke: HttpInvokeConfig,
    sql: SqlConfig,
    mock_config: Option<PathBuf>,
}

/// One access key that is let in.
#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct CredentialConfig {
    pub access_key_id: String,
    pub secret_access_key: String,
    /// 12 digits.
    pub account: String,
}

impl std::fmt::Debug for CredentialConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CredentialConfig({}, {})", self.access_key_id, self.account)
    }
}

/// AWS's limits unless lifted.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Input and output of a state, in bytes. AWS: 262,144.
    pub payload_bytes: Option<usize>,
    /// Events of one execution's history. AWS: 25,000.
    pub history_events: Option<u64>,
    /// Unzipped size of a function's package. AWS: 262,144,000.
    pub package_bytes: Option<u64>,
}

#[derive(Deserialize, Clone, Debug, Default)]
#[serde(deny_unknown_fields, default)]
pub struct FunctionsConfig {
    /// Worker processes at once.
    pub workers: Option<usize>,
}

/// What tasks of state machines may call. AWS allows none of it.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(deny_unknown_fields, default)]
pub struct HttpInvokeConfig {
    /// This machine, also without TLS.
    pub allow_loopback: bool,
    /// This machine's link, where clouds have their metadata services.
    pub allow_link_local: bool,
    /// `http://` to anywhere.
    pub allow_plain_http: bool,
    /// A PEM file of certificate authorities that are trusted beside the machine's.
    pub certificate_authorities: Option<PathBuf>,
}

#[derive(Deserialize, Clone, Debug, Default)]
#[serde(deny_unknown_fields, default)]
pub struct SqlConfig {
    /// `postgresql://user:password@host:port/database`; without it every cluster is an embedded database.
    pub postgres_url: Option<String>,
}

/// Flags and environment variables that every serving command has.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct ServerFlags {
    /// Address of the AWS APIs; other than loopback only with credentials configured
    #[arg(long, env = "STEPWELL_LISTEN", value_name = "HOST:PORT")]
    pub listen: Option<SocketAddr>,
    /// Folder for everything that is stored
    #[arg(long, env = "STEPWELL_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Configuration file (TOML)
    #[arg(long, env = "STEPWELL_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Mocked answers for test cases of state machines, in the form of AWS's local Step Functions (JSON)
    #[arg(long, env = "STEPWELL_MOCK_CONFIG", value_name = "FILE")]
    pub mock_config: Option<PathBuf>,
}

impl Config {
    /// Merges the file that `flags` name (if any) with `flags`.
    pub fn load(flags: &ServerFlags, default_listen: &str, default_data: &Path) -> Result<Config> {
        let file = match &flags.config {
            None => File::default(),
            Some(path) => {
                let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
                toml::from_str(&text).with_context(|| format!("configuration file {}", path.display()))?
            }
        };
        for credential in &file.credentials {
            if credential.account.len() != 12 || !credential.account.bytes().all(|b| b.is_ascii_digit()) {
                bail!(
                    "credentials: account '{}' of {} must have 12 digits",
                    credential.account,
                    credential.access_key_id
                );
            }
        }
        let listen = flags.listen.or(file.listen);
        Ok(Config {
            listen: listen.unwrap_or_else(|| default_listen.parse().expect("the default is an address")),
            data: flags.data.clone().or(file.data).unwrap_or_else(|| default_data.to_owned()),
            credentials: file.credentials,
            limits: file.limits,
            functions: file.functions,
            http_invoke: file.http_invoke,
            sql: file.sql,
            mock_config: flags.mock_config.clone().or(file.mock_config),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, flags: ServerFlags) -> Result<Config> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stepwell.toml");
        std::fs::write(&path, text).unwrap();
        Config::load(&ServerFlags { config: Some(path), ..flags }, "127.0.0.1:4566", Path::new("data"))
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let config = load("listen = \"127.0.0.1:1\"\ndata = \"here\"", ServerFlags::default()).unwrap();
        assert_eq!((config.listen.port(), config.data.as_path()), (1, Path::new("here")));
        let flags = ServerFlags { listen: Some("127.0.0.1:2".parse().unwrap()), ..ServerFlags::default() };
        let config = load("listen = \"127.0.0.1:1\"", flags).unwrap();
        assert_eq!((config.listen.port(), config.data.as_path()), (2, Path::new("data")));
    }

    #[test]
    fn mistakes_are_named() {
        let unknown = load("lisen = \"127.0.0.1:1\"", ServerFlags::default()).unwrap_err();
        assert!(format!("{unknown:#}").contains("lisen"), "{unknown:#}");
        let account = "[[credentials]]\naccess_key_id = \"A\"\nsecret_access_key = \"s\"\naccount = \"12\"";
        assert!(format!("{:#}", load(account, ServerFlags::default()).unwrap_err()).contains("12 digits"));
    }
}
