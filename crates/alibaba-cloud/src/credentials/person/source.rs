//! One source of a person's credentials, chosen; asked each time that credentials are needed.

use std::{
    fmt,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use reqsign_aliyun_oss::Credential;
use reqsign_core::{Context, Error, ProvideCredential, Result};

use super::{
    super::exchange::attach,
    config_json,
    described::Described,
    document::{self, Document},
    environment, external,
    fields::Dialect,
    ini,
    plan::{self, Plan, Planned},
    problem::Problem,
    variables::{NO_EXTERNAL, Variables},
    wire::Wire,
};

/// A person's credentials: one source, chosen by [`PersonOptions::resolve`](super::PersonOptions::resolve). `Debug` shows no secret.
#[derive(Clone)]
pub struct PersonSource(Arc<Inner>);

struct Inner {
    described: Described,
    region: Option<String>,
    origin: Origin,
    variables: Variables,
    external_limit: Duration,
}

pub(super) enum Origin {
    Environment,
    /// A file, and the profile that was chosen in it.
    File(Dialect, PathBuf, String),
}

impl Origin {
    /// What the source says now.
    pub(super) fn plan(&self, variables: &Variables) -> Planned {
        match self {
            Origin::Environment => match environment::find(variables) {
                Some((_, planned)) => planned,
                None => unplanned(Problem::Lacks("every variable".to_owned())),
            },
            Origin::File(dialect, file, profile) => match load(*dialect, file) {
                Ok(document) => plan::plan(&document, profile, variables.is_on(NO_EXTERNAL)),
                Err(problem) => unplanned(problem),
            },
        }
    }
}

fn unplanned(problem: Problem) -> Planned {
    Planned {
        mode: None,
        region: None,
        plan: Err(problem),
    }
}

pub(super) fn load(dialect: Dialect, file: &Path) -> std::result::Result<Document, Problem> {
    let text = document::read(file)?;
    match dialect {
        Dialect::Json => config_json::parse(&text),
        Dialect::Ini => ini::parse(&text),
    }
}

impl PersonSource {
    pub(super) fn new(
        described: Described,
        region: Option<String>,
        origin: Origin,
        variables: Variables,
        external_limit: Duration,
    ) -> Self {
        PersonSource(Arc::new(Inner {
            described,
            region,
            origin,
            variables,
            external_limit,
        }))
    }

    /// Which source it is.
    pub fn described(&self) -> &Described {
        &self.0.described
    }

    /// The region that the source names, as it is there: of the profile, or of the environment.
    pub fn region(&self) -> Option<&str> {
        self.0.region.as_deref()
    }

    /// The variables that the metadata service's client reads.
    pub(in crate::credentials) fn metadata(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.variables.metadata()
    }

    pub(in crate::credentials) fn fetch_with(self, wire: Wire) -> Fetch {
        Fetch { source: self, wire }
    }
}

impl fmt::Debug for PersonSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PersonSource").field(&self.0.described).finish()
    }
}

impl PartialEq for PersonSource {
    fn eq(&self, other: &Self) -> bool {
        self.0.described == other.0.described
    }
}

impl Eq for PersonSource {}

/// A source, and how to fetch from it.
pub(in crate::credentials) struct Fetch {
    source: PersonSource,
    wire: Wire,
}

impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Fetch").field(&self.source).finish()
    }
}

impl ProvideCredential for Fetch {
    type Credential = Credential;

    /// The source is read anew: whoever has signed in again meanwhile need not start again.
    async fn provide_credential(&self, context: &Context) -> Result<Option<Credential>> {
        let inner = self.source.0.clone();
        let planned = tokio::task::spawn_blocking(move || inner.origin.plan(&inner.variables))
            .await
            .map_err(|_| Error::unexpected("reading the credentials was interrupted"))?;
        let plan = planned.plan.map_err(unusable)?;
        self.fetch(context, &plan).await.map(Some)
    }
}

impl Fetch {
    fn fetch<'a>(
        &'a self,
        context: &'a Context,
        plan: &'a Plan,
    ) -> Pin<Box<dyn Future<Output = Result<Credential>> + Send + 'a>> {
        Box::pin(async move {
            match plan {
                Plan::Keys(credential) => Ok(credential.clone()),
                Plan::Role(base, role) => {
                    let base = self.fetch(context, base).await?;
                    self.wire.assume_role(&base, role).await.map_err(attach)
                }
                Plan::EcsRole(name) => self.wire.ecs_role(context, name.as_deref()).await,
                Plan::Oidc {
                    role,
                    provider,
                    token_file,
                } => {
                    self.wire
                        .assume_role_with_oidc(context, role, provider, token_file)
                        .await
                }
                Plan::Uri(address) => self.wire.get(address).await.map_err(attach),
                Plan::External(words) => external::credentials(words, self.source.0.external_limit)
                    .await
                    .map_err(unusable),
                Plan::CloudSso(session) => self.wire.cloud_sso(session).await.map_err(attach),
            }
        })
    }
}

fn unusable(problem: Problem) -> Error {
    Error::config_invalid(problem.to_string())
}
