//! Orders of the command line: carried out by the server where one runs, else here.

use std::{io, path::Path};

use anyhow::Context;
use serde_json::Value as Json;

use crate::{
    control::{self, Order},
    server::Assembly,
};

/// By the server that runs on a data folder; none where none does.
///
/// # Errors
/// Where the server does not answer.
pub(super) async fn by_server(
    data: &Path,
    order: &Order,
) -> anyhow::Result<Option<Result<Json, Json>>> {
    match control::order(data, order).await {
        Ok(answer) => Ok(Some(answer)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error).context("the running server does not answer"),
    }
}

/// By the server, else on the store that is opened for it. The inner error is a problem document.
///
/// # Errors
/// Where the server does not answer, or the store cannot be opened.
pub(super) async fn carry_out(
    assembly: &Assembly,
    order: Order,
) -> anyhow::Result<Result<Json, Json>> {
    if let Some(answer) = by_server(&assembly.loaded().settings.data, &order).await? {
        return Ok(answer);
    }
    let administration = assembly.administration();
    let open = assembly.open().await?;
    let result = administration.execute(order).await;
    assembly.close(open).await;
    Ok(result.map_err(|error| control::problem(&error)))
}
