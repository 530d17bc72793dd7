curl -X POST http://localhost:3000/orders \
  -H "Content-Type: application/json" \
  -d '{
        "user_id": "user1",
        "item_ids": ["item1", "item2"],
        "total_amount": 100.5
      }'
# 201 application/json; charset=utf-8 | {"order_id":"<ord>","user_id":"user1","item_ids":["item1","item2"],"total_amount":100.5,"status":"Pending","item_ids_string":"[\"item1\",\"item2\"]"}
curl http://localhost:3000/orders/:order_id/status
# 404 application/json; charset=utf-8 | {"error":"Order not found"}
# 200 application/json; charset=utf-8 | {"status":"Completed"}
curl http://localhost:3000/metrics
# 200 application/json; charset=utf-8 | {"total_orders":1,"average_processing_time":1,"order_counts":{"Pending":0,"Processing":0,"Completed":1}}
