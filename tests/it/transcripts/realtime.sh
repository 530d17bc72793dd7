curl -X POST http://localhost:8080/orders -H "Content-Type: application/json" -d '{"id": "order_123", "amount": 99.99, "items": ["item1", "item2"], "customer": "john.doe@example.com", "status": "pending", "address": "123 Main St, City, Country", "priority": 1, "notes": "Handle with care"}'
# 201 application/json | {"id":"order_123","amount":99.99,"items":["item1","item2"],"customer":"john.doe@example.com","status":"pending","created_at":"<time>","address":"123 Main St, City, Country","priority":1,"notes":"Handle with care"}¶
   curl -X POST http://localhost:8080/orders \
     -H "Content-Type: application/json" \
     -d '{
       "amount": 150.00,
       "items": ["laptop", "mouse"],
       "customer": "test@example.com",
       "address": "456 Test St",
       "priority": 1
     }'
# 201 application/json | {"id":"<hex32>","amount":150,"items":["laptop","mouse"],"customer":"test@example.com","status":"pending","created_at":"<time>","address":"456 Test St","priority":1}¶
   curl http://localhost:8080/stats
# 200 application/json | {"total_processed":2,"success_count":2,"error_count":0,"average_process_time_ms":<num>,"active_workers":10,"queue_length":0,"uptime_seconds":<int>}¶
   curl http://localhost:8080/health
# 200 application/json | {"status":"healthy","timestamp":<int>,"pool":{"healthy":true,"queue_length":0,"workers":10}}¶
