//! How instants and states are written: microseconds since 1970, and names.

/// An instant.
pub(super) mod instant {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(in crate::record::copy) fn serialize<S: Serializer>(
        at: &Timestamp,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(at.as_microsecond())
    }

    pub(in crate::record::copy) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Timestamp, D::Error> {
        let micros = i64::deserialize(deserializer)?;
        from_micros(micros).map_err(D::Error::custom)
    }

    /// The microsecond that the last instant is in cannot be asked for in whole microseconds.
    pub(super) fn from_micros(micros: i64) -> Result<Timestamp, jiff::Error> {
        match micros == Timestamp::MAX.as_microsecond() {
            true => Ok(Timestamp::MAX),
            false => Timestamp::from_microsecond(micros),
        }
    }
}

/// An instant that may be missing.
pub(super) mod maybe_instant {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(in crate::record::copy) fn serialize<S: Serializer>(
        at: &Option<Timestamp>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        at.map(Timestamp::as_microsecond).serialize(serializer)
    }

    pub(in crate::record::copy) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        let micros = Option::<i64>::deserialize(deserializer)?;
        let at = micros.map(super::instant::from_micros).transpose();
        at.map_err(D::Error::custom)
    }
}

/// When a run is due, if it is: as it is stored, so that files of older versions mean what they meant.
pub(super) mod maybe_due {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::record::Due;

    pub(in crate::record::copy) fn serialize<S: Serializer>(
        due: &Option<Due>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        due.map(Due::to_micros).serialize(serializer)
    }

    pub(in crate::record::copy) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Due>, D::Error> {
        let micros = Option::<i64>::deserialize(deserializer)?;
        Ok(micros.map(Due::of_micros))
    }
}

macro_rules! state {
    ($(#[$doc:meta])* $module:ident, $state:ident) => {
        $(#[$doc])*
        pub(super) mod $module {
            use serde::{Deserialize, Deserializer, Serializer, de::Error};

            use crate::record::$state;

            pub(in crate::record::copy) fn serialize<S: Serializer>(
                state: &$state,
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(state.name())
            }

            pub(in crate::record::copy) fn deserialize<'de, D: Deserializer<'de>>(
                deserializer: D,
            ) -> Result<$state, D::Error> {
                let name = String::deserialize(deserializer)?;
                let mut states = (0..).map_while($state::from_code);
                let state = states.find(|state| state.name() == name);
                state.ok_or_else(|| D::Error::custom(format!("there is no state `{name}`")))
            }
        }
    };
}

state!(
    /// A run's state.
    run_state,
    RunState
);
state!(
    /// A record's state.
    record_state,
    RecordState
);
