select subject, check_name, status, critical, message, metrics, at, since, down_since, frequency_seconds, duration_seconds
from herald.health_state
order by subject, check_name
