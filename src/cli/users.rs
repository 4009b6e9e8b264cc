//! `nubo users`: accounts, from the command line of whoever runs the server.
//!
//! The orders go to the server where one runs on the data folder, and are carried out here where
//! none does. No access rule stands in their way.

use std::{
    io::{self, BufRead, IsTerminal, Write},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context, anyhow, bail};
use clap::{Args, Subcommand};
use nubo_auth::Accounts;
use nubo_core::id::Id;
use serde_json::{Map, Value as Json};

use super::{layout::table, orders};
use crate::{
    control::{AccountOrder, NO_ACCOUNTS, Order},
    server::Assembly,
};

const EXAMPLES: &str = "\
Examples:
  nubo users create username=ada email=ada@example.org first_name=Ada last_name=Lovelace --role admin
      Asks for the password. `--password-stdin` reads it from standard input instead.
  nubo users roles ada user moderator
      The roles that ada has from now on.
  nubo users sessions ada
      Where ada is signed in.
  nubo users revoke ada
      Signs ada out everywhere, at once.

The server may be running.";

/// Creates accounts, sets roles and passwords, lists and ends sessions
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum Users {
    /// Creates an account
    Create(Create),
    /// Sets the roles of an account, in place of those it has
    Roles {
        /// User name, e-mail address or id of the account
        account: String,
        /// Its roles from now on; none leaves it without any
        roles: Vec<String>,
    },
    /// Sets the password of an account and ends its sessions
    Password {
        /// User name, e-mail address or id of the account
        account: String,
        /// Read the password from standard input, up to the end of the line
        #[arg(long)]
        password_stdin: bool,
    },
    /// Lists the sessions of an account
    Sessions {
        /// User name, e-mail address or id of the account
        account: String,
    },
    /// Ends a session of an account, or all of them
    Revoke {
        /// User name, e-mail address or id of the account
        account: String,
        /// Id of the session; all where none is named
        session: Option<Id>,
    },
    /// Lists the newest accounts, a thousand at most
    List,
    /// Ends the WebSocket connections of an account; its sessions stay
    Kick {
        /// User name, e-mail address or id of the account
        account: String,
    },
}

#[derive(Debug, Args)]
pub struct Create {
    /// Fields of the account, each as `name=value`
    #[arg(required = true, value_name = "FIELD=VALUE", value_parser = field)]
    fields: Vec<(String, Json)>,
    /// A role that the account has; may be repeated
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// Read the password from standard input, up to the end of the line
    #[arg(long)]
    password_stdin: bool,
}

fn field(text: &str) -> Result<(String, Json), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| format!("`{text}` must be `name=value`"))?;
    Ok((name.to_owned(), value.into()))
}

impl Users {
    /// Does what the command line says.
    ///
    /// # Errors
    /// Where the store cannot be used or refuses.
    pub async fn run(self, assembly: &Assembly, out: &mut impl Write) -> anyhow::Result<ExitCode> {
        let (order, show): (AccountOrder, Show) = match self {
            Self::Create(create) => {
                let mut fields: Map<String, Json> = create.fields.into_iter().collect();
                let accounts = accounts(assembly)?;
                let name = accounts.password_field();
                if fields.contains_key(name) {
                    bail!(
                        "a command line can be read by others and stays in the shell's history; \
                         leave `{name}` out and you are asked for it, or use --password-stdin"
                    );
                }
                fields.insert(name.to_owned(), password(create.password_stdin)?.into());
                let roles = create.roles;
                (AccountOrder::Create { fields, roles }, show_account)
            }
            Self::Roles { account, roles } => {
                (AccountOrder::SetRoles { account, roles }, show_account)
            }
            Self::Password {
                account,
                password_stdin,
            } => {
                let password = password(password_stdin)?;
                (
                    AccountOrder::SetPassword { account, password },
                    show_nothing,
                )
            }
            Self::Sessions { account } => (AccountOrder::Sessions { account }, show_table),
            Self::Revoke { account, session } => {
                let session = session.map(|session| session.to_string());
                (AccountOrder::Revoke { account, session }, show_revoked)
            }
            Self::List => (AccountOrder::List, show_table),
            Self::Kick { account } => (AccountOrder::Kick { account }, show_nothing),
        };
        match carry_out(assembly, order).await? {
            Ok(answer) => show(&answer, out)?,
            Err(problem) => bail!(in_words(&problem)),
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// By the server where one runs, else here, as far as that makes sense.
async fn carry_out(assembly: &Assembly, order: AccountOrder) -> anyhow::Result<Result<Json, Json>> {
    let is_kick = matches!(order, AccountOrder::Kick { .. });
    let order = Order::Accounts(order);
    if !is_kick {
        return orders::carry_out(assembly, order).await;
    }
    let data = &assembly.loaded().settings.data;
    let nobody = || {
        anyhow!(
            "no server runs on {}, so nobody is connected",
            data.display()
        )
    };
    orders::by_server(data, &order).await?.ok_or_else(nobody)
}

fn accounts(assembly: &Assembly) -> anyhow::Result<Arc<Accounts>> {
    assembly.accounts().context(NO_ACCOUNTS)
}

type Show = fn(&Json, &mut dyn Write) -> io::Result<()>;

fn show_nothing(_: &Json, _: &mut dyn Write) -> io::Result<()> {
    Ok(())
}

fn show_account(account: &Json, out: &mut dyn Write) -> io::Result<()> {
    show_table(&Json::Array(vec![account.clone()]), out)
}

fn show_revoked(answer: &Json, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{} sessions ended", answer["revoked"])
}

/// Objects as a table: a column for each key that any of them has.
pub(super) fn show_table(rows: &Json, out: &mut dyn Write) -> io::Result<()> {
    let rows: Vec<&Map<String, Json>> = rows
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Json::as_object)
        .collect();
    let Some(first) = rows.first() else {
        return writeln!(out, "none");
    };
    let names: Vec<&str> = first.keys().map(String::as_str).collect();
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| names.iter().map(|name| in_a_cell(row.get(*name))).collect())
        .collect();
    table(&names, cells, &mut { out })
}

fn in_a_cell(value: Option<&Json>) -> String {
    match value {
        None | Some(Json::Null) => "-".into(),
        Some(Json::String(text)) => text.clone(),
        Some(Json::Array(items)) => {
            let items: Vec<String> = items.iter().map(|item| in_a_cell(Some(item))).collect();
            items.join(",")
        }
        Some(other) => other.to_string(),
    }
}

/// A problem document for people.
pub(super) fn in_words(problem: &Json) -> String {
    let mut words = problem["detail"].as_str().unwrap_or("refused").to_owned();
    for violation in problem["errors"].as_array().into_iter().flatten() {
        let place = violation["path"].as_str().unwrap_or_default();
        let message = violation["message"].as_str().unwrap_or_default();
        words.push_str(&format!("\n  {} {message}", place.trim_start_matches('/')));
    }
    words
}

/// The password, from a pipe or a terminal.
fn password(from_stdin: bool) -> anyhow::Result<String> {
    if !from_stdin {
        if !io::stdin().is_terminal() {
            bail!("there is no terminal to ask for the password; use --password-stdin");
        }
        let password = rpassword::prompt_password("Password: ")?;
        if rpassword::prompt_password("Once more: ")? != password {
            bail!("the two are different");
        }
        return Ok(password);
    }
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        bail!("standard input holds no password");
    }
    Ok(password.to_owned())
}
