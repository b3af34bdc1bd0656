-- Where the last record that was read ends, and the epoch of the leader that wrote it; NULL where none is known. By
-- these the store sees whether a broker has lost records that the rows came from and written others in their place.
ALTER TABLE positions ADD COLUMN record_end INTEGER;
ALTER TABLE positions ADD COLUMN leader_epoch INTEGER;
