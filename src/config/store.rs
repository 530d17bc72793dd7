//! Settings of the store: where orders are kept.
//!
//! Decides which store is meant; it opens nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::source::Layer;
use super::{Breach, duration, size};

/// File name of the database in the data folder.
const DATABASE: &str = "orders.db";

/// The stores there are.
const USABLE: &str = "sqlite:PATH, postgres://USER@HOST/DATABASE or mysql://USER@HOST/DATABASE";

/// What the store is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreSettings {
    /// The folder of the database `orders.db`, made if it is missing. Default `./orderd-data`.
    pub data: PathBuf,
    /// Which store, if it is not the database in the data folder: `sqlite:PATH`, or the URL of a
    /// PostgreSQL or MySQL database.
    pub url: Option<String>,
    /// Connections for looking up single orders, 1 to 64. Default 4.
    pub readers: usize,
    /// Connections for lists, histories and the feed of events, 1 to 64. Default 2.
    pub list_readers: usize,
    /// How long one try to reach a database server may take, 100 ms to 1 m. Default 2 s.
    #[serde(with = "duration")]
    pub connect_timeout: Duration,
    /// How long a database server may take for a commit, 500 ms to 1 m. Default 5 s.
    #[serde(with = "duration")]
    pub commit_timeout: Duration,
    /// How long a database server may take for a read, 100 ms to 1 h. Default 10 s.
    #[serde(with = "duration")]
    pub read_timeout: Duration,
    /// Bytes that must be free on the disk for new orders to be taken; 0: nobody looks. `None`, the
    /// default: an eighth of the disk, at most 256 MiB.
    #[serde(with = "size")]
    pub free_space_min: Option<u64>,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            data: "./orderd-data".into(),
            url: None,
            readers: 4,
            list_readers: 2,
            connect_timeout: Duration::from_secs(2),
            commit_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(10),
            free_space_min: None,
        }
    }
}

impl StoreSettings {
    /// The URL of the store.
    pub fn effective_url(&self) -> String {
        let in_folder = || format!("sqlite:{}", self.data.join(DATABASE).display());
        self.url.clone().unwrap_or_else(in_folder)
    }

    /// The folder that holds everything, for people. `None` if a database server does.
    pub fn folder(&self) -> Option<PathBuf> {
        let Some(url) = &self.url else {
            return Some(self.data.clone());
        };
        let parent = Path::new(url.strip_prefix("sqlite:")?).parent();
        Some(match parent {
            Some(folder) if folder.as_os_str().is_empty() => ".".into(),
            Some(folder) => folder.into(),
            None => self.data.clone(),
        })
    }

    /// Between a folder and a URL the one that was asked for more strongly counts: `--data` beats a
    /// URL from a file. If both were asked for equally, nobody can know which is meant.
    pub(super) fn settle(&mut self, data: Layer, url: Layer) -> Result<(), Breach> {
        if self.url.is_none() || data == Layer::Default {
            return Ok(());
        }
        if data > url {
            self.url = None;
        } else if data == url {
            let detail =
                "is set beside store.data; the URL says where the store is, leave one of them out";
            return Err(Breach::new("store.url", detail.into()));
        }
        Ok(())
    }

    pub(super) fn check(&self) -> Result<(), Breach> {
        if self.data.as_os_str().is_empty() {
            let detail = "is empty; it must be the path of a folder";
            return Err(Breach::new("store.data", detail.into()));
        }
        let Some(url) = &self.url else {
            return Ok(());
        };
        let detail = match url.split_once(':') {
            Some(("sqlite", "")) => "names no file; write sqlite:PATH".into(),
            Some(("sqlite", _)) => return Ok(()),
            Some(("postgres" | "postgresql" | "mysql", rest)) if rest.starts_with("//") => {
                return Ok(());
            }
            Some((scheme @ ("postgres" | "postgresql" | "mysql"), _)) => {
                format!("is not complete; write {scheme}://USER@HOST/DATABASE")
            }
            Some((scheme, _)) => format!("has the scheme {scheme:?}; use {USABLE}"),
            None => format!("is not a URL; write {USABLE}"),
        };
        Err(Breach::new("store.url", detail))
    }
}
