//! What a client asks of a run, as it is sent and as it is stored.

use serde::{Deserialize, Serialize};
use stella_engine::{Again, PolicyRequest, ProfileSource, RunRequest};
use stella_model::{Instant, SetKey};
use stella_plan::profile::Select;
use utoipa::ToSchema;

use super::Problem;

/// What is asked of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Order {
    /// Name of a profile: built in, such as `mirror:full`, or of the tenant.
    pub(crate) profile: String,
    /// Selectors; each one given replaces the profile's. The members are those of `[select]` in a
    /// profile.
    #[serde(default)]
    #[schema(value_type = Value)]
    pub(crate) select: Select,
    /// `asOf`, instead of the newest revision time among the selected records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(crate) as_of: Option<Instant>,
    /// Redaction, instead of the profile's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) redaction: Option<Redaction>,
    /// Sets that may be empty, as `KIND/FEED`.
    #[serde(default)]
    pub(crate) allow_empty: Vec<String>,
    /// Why it is right that less is there than in the last run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) accept_drop: Option<String>,
}

/// Rules that are built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Redaction {
    /// No rules.
    None,
    /// The rules of the product.
    Standard,
}

/// An order and when it came: all that the tasks of the run are told, so that each is told the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct StoredOrder {
    /// What was asked.
    pub(crate) order: Order,
    /// When, to the second.
    pub(crate) at: Instant,
    /// The profile of the tenant as it was then; none for one that is built in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) document: Option<String>,
    /// The bundle that is to be made again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) again: Option<Again>,
}

impl StoredOrder {
    /// The order for those who do the tasks.
    ///
    /// # Errors
    /// [`Problem`] if it names something that does not exist; nothing runs then.
    pub(crate) fn request(&self) -> Result<RunRequest, Problem> {
        let order = &self.order;
        let set = |text: &String| {
            text.parse::<SetKey>()
                .map_err(|error| Problem::invalid("allowEmpty", error.to_string()))
        };
        let redaction = order.redaction.map(|redaction| match redaction {
            Redaction::None => "none".to_owned(),
            Redaction::Standard => "standard".to_owned(),
        });
        let profile = match &self.document {
            Some(text) => ProfileSource::Document(text.clone()),
            None => ProfileSource::BuiltIn(order.profile.clone()),
        };
        Ok(RunRequest {
            profile,
            select: order.select.clone(),
            as_of: order.as_of,
            redaction,
            policy: PolicyRequest::default(),
            allow_empty: order.allow_empty.iter().map(set).collect::<Result<_, _>>()?,
            accept_drop: order.accept_drop.clone(),
            threads: 1,
            now: self.at,
            again: self.again.clone(),
        })
    }
}
