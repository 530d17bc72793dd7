curl --location 'http://localhost:8080/order' --header 'Content-Type: application/json' --data '{
           "user_id": "user123",
           "item_ids": "item1,item2,item3",
           "total_amount": 99.99
         }'
# 200 text/plain; charset=utf-8 | Received order <uuid>¶
curl --location 'http://localhost:8080/order/ab079da1-e078-4d40-b36d-739f06a242fe'
# 200 application/json | {"order_id":"<uuid>","user_id":"user123","item_ids":["item1","item2","item3"],"total_amount":99.99,"status":"processed"}¶
curl --location 'http://localhost:8080/metrics/pending'
# 200 application/json | {"PendingCount":0,"Proccessed":0,"Completed":1,"TotalCount":1,"AverageProcessingTime":<num>}¶
