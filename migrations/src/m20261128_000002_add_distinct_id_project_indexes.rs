//! Adds indexes by project to `person_distinct_ids` and `person_tombstones`, whose keys begin with the distinct id: what the
//! end of a project deletes.

use sea_orm_migration::prelude::*;

const TABLES: [&str; 2] = ["person_distinct_ids", "person_tombstones"];

/// Adds `person_distinct_ids_project_id_idx` and `person_tombstones_project_id_idx`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in TABLES {
            let mut index = Index::create();
            index.name(format!("{table}_project_id_idx")).table(table).col("project_id");
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in TABLES {
            let index = Index::drop().name(format!("{table}_project_id_idx")).table(table).to_owned();
            manager.drop_index(index).await?;
        }
        Ok(())
    }
}
