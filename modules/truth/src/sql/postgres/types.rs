//! PostgreSQL's types: which one holds a field, what it is called and what its values are known by
//! on the wire.

use nubo_core::field::FieldType;

/// A type of single values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scalar {
    Boolean,
    Integer,
    Bigint,
    Double,
    Numeric,
    Text,
    Uuid,
    Timestamp,
    Date,
    Inet,
    Bytea,
    Jsonb,
}

/// The type of a column or an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    One(Scalar),
    Array(Scalar),
}

impl Scalar {
    /// The name, as `format_type` of PostgreSQL gives it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Bigint => "bigint",
            Self::Double => "double precision",
            Self::Numeric => "numeric",
            Self::Text => "text",
            Self::Uuid => "uuid",
            Self::Timestamp => "timestamp(3) with time zone",
            Self::Date => "date",
            Self::Inet => "inet",
            Self::Bytea => "bytea",
            Self::Jsonb => "jsonb",
        }
    }

    /// Object ids of the type and of its arrays: fixed, from `pg_type.dat`.
    pub const fn oids(self) -> (u32, u32) {
        match self {
            Self::Boolean => (16, 1000),
            Self::Bytea => (17, 1001),
            Self::Bigint => (20, 1016),
            Self::Integer => (23, 1007),
            Self::Text => (25, 1009),
            Self::Double => (701, 1022),
            Self::Inet => (869, 1041),
            Self::Date => (1082, 1182),
            Self::Timestamp => (1184, 1185),
            Self::Numeric => (1700, 1231),
            Self::Uuid => (2950, 2951),
            Self::Jsonb => (3802, 3807),
        }
    }

    /// The type that holds single values of a field's type.
    pub const fn of(kind: &FieldType) -> Self {
        match kind {
            FieldType::Bool => Self::Boolean,
            FieldType::Int => Self::Integer,
            // An interval holds 292,000 years at most and mixes days with hours; a duration is
            // exact milliseconds.
            FieldType::BigInt | FieldType::Duration => Self::Bigint,
            FieldType::Float => Self::Double,
            FieldType::Decimal => Self::Numeric,
            FieldType::Text | FieldType::Email | FieldType::Url | FieldType::Password => Self::Text,
            FieldType::Uuid | FieldType::Ref(_) => Self::Uuid,
            FieldType::Timestamp => Self::Timestamp,
            FieldType::Date => Self::Date,
            FieldType::Ip => Self::Inet,
            FieldType::Bytes => Self::Bytea,
            FieldType::Json | FieldType::Object(_) | FieldType::List(_) => Self::Jsonb,
        }
    }
}

impl Type {
    /// The type of a field's column. Lists of single values are arrays; json items are of any
    /// kind, so that a list of them is one json value.
    pub const fn of(kind: &FieldType) -> Self {
        match kind {
            FieldType::List(item) => match Scalar::of(item) {
                Scalar::Jsonb => Self::One(Scalar::Jsonb),
                scalar => Self::Array(scalar),
            },
            kind => Self::One(Scalar::of(kind)),
        }
    }

    /// The name, as `format_type` of PostgreSQL gives it.
    pub fn name(self) -> String {
        match self {
            Self::One(scalar) => scalar.name().to_owned(),
            Self::Array(scalar) => format!("{}[]", scalar.name()),
        }
    }

    /// Its object id.
    pub const fn oid(self) -> u32 {
        match self {
            Self::One(scalar) => scalar.oids().0,
            Self::Array(scalar) => scalar.oids().1,
        }
    }
}
