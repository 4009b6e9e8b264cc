//! The queue of writes that are carried out behind their acknowledgement.

use async_trait::async_trait;
use nubo_core::{
    Error, Result,
    queue::{DeadLetter, Number, QueuedWrite, Refused, Standing, Waiting, Which, WriteQueue},
    write::Transaction,
};

use super::PostgresTruth;
use crate::{engine::Order, rows::Rows, sql::queue, waiting};

#[async_trait]
impl WriteQueue for PostgresTruth {
    async fn append(&self, writes: Vec<QueuedWrite>) -> Result<()> {
        let packed = writes.iter().map(|write| write.pack(&self.catalog));
        let orders = packed.map(Order::Append).collect();
        self.running()?.writer.order(orders).await.map(drop)
    }

    async fn standing(&self) -> Result<Option<Standing>> {
        waiting::standing(&self.ask(queue::standing()).await?)
    }

    async fn waiting(&self, most: u32) -> Result<Vec<Waiting>> {
        waiting::writes(&self.ask(queue::waiting(most)).await?)
    }

    async fn carry_out(&self, writes: Vec<(Number, Transaction)>) -> Vec<Result<()>> {
        match self.running() {
            Ok(running) => running.writer.carry_out(writes).await,
            Err(_) => writes
                .iter()
                .map(|_| Err(Error::unavailable("not_started", "the server is starting")))
                .collect(),
        }
    }

    async fn set_aside(&self, refused: Vec<Refused>) -> Result<()> {
        let orders = refused.into_iter().map(Order::SetAside).collect();
        self.running()?.writer.order(orders).await.map(drop)
    }

    async fn dead_letters(&self, above: Number, most: u32) -> Result<Vec<DeadLetter>> {
        waiting::letters(&self.ask(queue::letters(above, most)).await?)
    }

    async fn dead_letter(&self, number: Number) -> Result<Option<DeadLetter>> {
        Ok(waiting::letters(&self.ask(queue::letter(number)).await?)?.pop())
    }

    async fn count_dead_letters(&self) -> Result<u64> {
        let rows = self.ask(queue::count_letters()).await?;
        Ok(rows.integer(0, 0)?.unsigned_abs())
    }

    async fn retry(&self, which: Which) -> Result<u64> {
        self.running()?
            .writer
            .order(vec![Order::Retry(which)])
            .await
    }

    async fn forget(&self, which: Which) -> Result<u64> {
        self.running()?
            .writer
            .order(vec![Order::Forget(which)])
            .await
    }
}
